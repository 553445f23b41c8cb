//! Made of `echo/proto/echo/v1/echo.proto` by the test in `tests/echo/grpc_code.rs`; not to be edited.

/// What is asked.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct EchoRequest {
    /// Returned as it is; at most 1 MiB.
    #[prost(string, tag = "1")]
    pub message: ::prost::alloc::string::String,
}
/// Who answered, and the request as the server saw it. What is not known is empty.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct EchoReply {
    /// The pod's name.
    #[prost(string, tag = "1")]
    pub pod: ::prost::alloc::string::String,
    /// The cluster's name, or <unknown>.
    #[prost(string, tag = "2")]
    pub cluster: ::prost::alloc::string::String,
    /// The pod's namespace.
    #[prost(string, tag = "3")]
    pub namespace: ::prost::alloc::string::String,
    /// The node that the pod runs on.
    #[prost(string, tag = "4")]
    pub node: ::prost::alloc::string::String,
    /// The node's region.
    #[prost(string, tag = "5")]
    pub region: ::prost::alloc::string::String,
    /// The node's zone.
    #[prost(string, tag = "6")]
    pub zone: ::prost::alloc::string::String,
    /// The network, in Istio's sense.
    #[prost(string, tag = "7")]
    pub network: ::prost::alloc::string::String,
    /// The version of the workload.
    #[prost(string, tag = "8")]
    pub version: ::prost::alloc::string::String,
    /// The URL as the client asked for it, its authority included.
    #[prost(string, tag = "9")]
    pub url: ::prost::alloc::string::String,
    /// The request's message, returned.
    #[prost(string, tag = "10")]
    pub message: ::prost::alloc::string::String,
    /// An id of the server's connection.
    #[prost(string, tag = "11")]
    pub connection: ::prost::alloc::string::String,
    /// The number of this request on its connection, from 1.
    #[prost(uint64, tag = "12")]
    pub request: u64,
    /// Which attempt of the nearest Envoy this was, from 1; 0 if Envoy did not say.
    #[prost(uint32, tag = "13")]
    pub attempt: u32,
    /// The caller's probe id, returned.
    #[prost(string, tag = "14")]
    pub probe: ::prost::alloc::string::String,
    /// Address and port of the connection's other end.
    #[prost(string, tag = "15")]
    pub peer: ::prost::alloc::string::String,
}
/// Generated server implementations.
pub mod echo_service_server {
    #![allow(
        unused_variables,
        dead_code,
        missing_docs,
        clippy::wildcard_imports,
        clippy::let_unit_value,
    )]
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with EchoServiceServer.
    #[async_trait]
    pub trait EchoService: std::marker::Send + std::marker::Sync + 'static {
        /// Answers with who answered, and with the message as it came.
        async fn echo(
            &self,
            request: tonic::Request<super::EchoRequest>,
        ) -> std::result::Result<tonic::Response<super::EchoReply>, tonic::Status>;
    }
    /// Says who answered. The same facts stand in the x-echo-* headers of every
    /// response, as initial metadata.
    #[derive(Debug)]
    pub struct EchoServiceServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> EchoServiceServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for EchoServiceServer<T>
    where
        T: EchoService,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(
            &mut self,
            _cx: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/echo.v1.EchoService/Echo" => {
                    #[allow(non_camel_case_types)]
                    struct EchoSvc<T: EchoService>(pub Arc<T>);
                    impl<T: EchoService> tonic::server::UnaryService<super::EchoRequest>
                    for EchoSvc<T> {
                        type Response = super::EchoReply;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::EchoRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as EchoService>::echo(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = EchoSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => {
                    Box::pin(async move {
                        let mut response = http::Response::new(
                            tonic::body::Body::default(),
                        );
                        let headers = response.headers_mut();
                        headers
                            .insert(
                                tonic::Status::GRPC_STATUS,
                                (tonic::Code::Unimplemented as i32).into(),
                            );
                        headers
                            .insert(
                                http::header::CONTENT_TYPE,
                                tonic::metadata::GRPC_CONTENT_TYPE,
                            );
                        Ok(response)
                    })
                }
            }
        }
    }
    impl<T> Clone for EchoServiceServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "echo.v1.EchoService";
    impl<T> tonic::server::NamedService for EchoServiceServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
