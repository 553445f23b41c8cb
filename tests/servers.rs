//! Small servers in the test's own process: an echo's answers, and every way
//! in which a server can fail. Each closes when dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A server on a loopback address, its port chosen by the system.
pub(crate) struct Server {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    /// Connections accepted so far.
    pub(crate) connections: Arc<AtomicU64>,
}

impl Server {
    /// Hands every connection to `serve`, each on a thread of its own.
    pub(crate) fn start(serve: impl Fn(TcpStream, u64) + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), serve)
    }

    /// The same at a given address.
    pub(crate) fn start_at(
        address: SocketAddr,
        serve: impl Fn(TcpStream, u64) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let closed = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let (over, count, serve) = (Arc::clone(&closed), Arc::clone(&connections), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream, number));
            }
        });
        Self { address, closed, connections }
    }

    /// Where it listens, as a target.
    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

/// An address and port where nobody listens: bound for a moment, then let go.
pub(crate) fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// The same port, free on all of these addresses at once.
pub(crate) fn common_port(addresses: &[IpAddr]) -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind((addresses[0], 0)).expect("a free port");
        let port = first.local_addr().expect("it is bound").port();
        if addresses[1..].iter().all(|address| TcpListener::bind((*address, port)).is_ok()) {
            return port;
        }
    }
    panic!("no port is free on all of {addresses:?}");
}

/// Reads one request's head; its lines, the request line first.
pub(crate) fn read_head(stream: &TcpStream) -> Vec<String> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
        let text = line.trim_end().to_owned();
        if text.is_empty() {
            break;
        }
        lines.push(text);
        line.clear();
    }
    lines
}

/// The text line of a pod in a cluster.
pub(crate) fn line(pod: &str, cluster: &str) -> String {
    format!("[URL: http://echo2:8080/] on [pod: {pod}] in [cluster: {cluster}]\n")
}

/// A whole response with a body.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// The same with bytes for a body.
pub(crate) fn response_of_bytes(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Serves one request with a fixed answer, then closes.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> impl Fn(TcpStream, u64) + Send + Sync {
    let answer = answer.into();
    move |mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(&answer);
        linger(&stream);
    }
}

/// An echo's text answers only, as the original sample gives them.
pub(crate) fn text_echo(pod: &str, cluster: &str) -> impl Fn(TcpStream, u64) + Send + Sync + use<> {
    answering(response("200 OK", "", &line(pod, cluster)))
}

/// A new pod with every answer, on kept connections: the worst that a server can do to a table
/// of pods.
pub(crate) fn always_another_pod() -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            let pod = count.fetch_add(1, Ordering::SeqCst);
            let headers = format!("x-echo-pod: echo2-{pod:05}\r\nx-echo-cluster: kops\r\n");
            let _ = stream.write_all(response("200 OK", &headers, "").as_bytes());
        }
    })
}

/// Waits until the other side has closed, so that nothing sent is lost to a reset.
pub(crate) fn linger(stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let rest = stream;
    let _ = std::io::copy(&mut rest.take(1 << 20), &mut std::io::sink());
}

/// Ends a connection by a reset: closing with bytes unread makes the kernel send one.
pub(crate) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a TCP socket");
    drop(stream);
}

/// Says nothing until the other side has closed.
pub(crate) fn linger_open(mut stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
}
