//! Tests of `answer`.

use super::faulty::OFF;
use super::*;
use crate::app::Options;
use crate::describe::{Connection, Describer};
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, HOST};
use echo_reply::{Identity, headers as names};

fn app() -> Arc<App> {
    Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops")), Options::default()))
}

fn ask(app: Arc<App>, request: Request) -> (StatusCode, Response<()>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let connection = Arc::new(Connection::new(HeaderValue::from_static("-")));
        let response = match answer(&app, request, Arrival { connection, number: 1 }) {
            Answering::Now(response) => response,
            Answering::Later(response) => response.await,
        };
        let (parts, body) = response.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (parts.status, Response::from_parts(parts, ()), body)
    })
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    Request::builder().method(method).uri(path).header(HOST, "h").body(body.into()).unwrap()
}

#[test]
fn every_path_and_method_is_answered() {
    for method in ["GET", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/healthz", "/metrics", "//a/../b", "/%00?x=%0d%0a", "*"] {
            let (status, head, body) = ask(app(), request(method, path, "body"));
            assert_eq!(status, StatusCode::OK, "{method} {path}");
            assert_eq!(head.headers()["x-echo-pod"], "pod-1");
            assert!(body.ends_with("] on [pod: pod-1] in [cluster: kops]\n"), "{body:?}");
        }
    }
}

#[test]
fn head_differs_from_get_only_in_the_body() {
    let (_, get, body) = ask(app(), request("GET", "/a", ""));
    let (status, head, no_body) = ask(app(), request("HEAD", "/a", ""));
    assert_eq!((status, no_body.as_str()), (StatusCode::OK, ""));
    let mut headers = head.headers().clone();
    // With a body, hyper writes the length.
    let length = headers.remove(CONTENT_LENGTH).unwrap();
    assert_eq!(length, body.len().to_string().as_str());
    assert_eq!(headers, *get.headers());
}

#[test]
fn a_tunnel_is_refused_and_an_oversized_body_too() {
    let (status, head, _) = ask(app(), request("CONNECT", "example.com:443", ""));
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(head.headers()["connection"], "close");

    let largest = vec![0_u8; usize::try_from(body::MAX_BODY).unwrap()];
    assert_eq!(ask(app(), request("PUT", "/", largest.clone())).0, StatusCode::OK);
    let larger = [&largest[..], b"1"].concat();
    let (status, head, line) = ask(app(), request("PUT", "/", larger));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(head.headers()["connection"], "close");
    assert!(line.contains("[pod: pod-1]"), "a refusal says who answered, too");
}

#[test]
fn a_host_in_doubt_is_refused() {
    let ask = |version, hosts: &[&str]| {
        let mut request = Request::builder().uri("/").version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (status, head, line) = ask(app(), request.body(Body::empty()).unwrap());
        assert!(line.contains("[pod: pod-1]"), "a refusal says who answered, too");
        (status.as_u16(), head.headers().contains_key(CONNECTION))
    };
    assert_eq!(ask(Version::HTTP_11, &["a"]), (200, false));
    assert_eq!(ask(Version::HTTP_11, &[""]), (200, false));
    assert_eq!(ask(Version::HTTP_11, &["a", "a"]), (400, true));
    assert_eq!(ask(Version::HTTP_11, &[]), (400, true));
    assert_eq!(ask(Version::HTTP_10, &[]), (200, false));
    assert_eq!(ask(Version::HTTP_2, &[]), (200, false));
}

#[test]
fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let head = "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n";
    for (max_head, expected) in [(head.len(), 200), (head.len() - 1, 431)] {
        let options = Options { max_head, ..Options::default() };
        let describer = Describer::new(Identity::new("pod-1", "kops"));
        let app = Arc::new(App::new(describer, options));
        let (status, head, _) = ask(app, request("GET", "/a?b", ""));
        assert_eq!(status.as_u16(), expected);
        assert_eq!(head.headers()["x-echo-pod"], "pod-1");
        assert_eq!(head.headers().contains_key(CONNECTION), expected != 200);
    }
}

#[test]
fn faults_come_only_where_they_are_allowed() {
    let with = |faults, path: &str| {
        let options = Options { faults, ..Options::default() };
        let describer = Describer::new(Identity::new("pod-1", "kops"));
        ask(Arc::new(App::new(describer, options)), request("GET", path, ""))
    };
    let (status, head, _) = with(false, "/?status=503");
    assert_eq!((status.as_u16(), &head.headers()["x-echo-faults"]), (200, &OFF));
    assert!(!with(false, "/?x=503").1.headers().contains_key("x-echo-faults"));

    let (status, head, body) = with(true, "/?status=503&size=3");
    assert_eq!((status.as_u16(), body.as_str()), (503, "[UR"));
    assert_eq!(head.headers()["x-echo-faults"], "status=503,size=3");
    assert_eq!(head.headers()["content-length"], "3");
    assert!(!with(true, "/").1.headers().contains_key("x-echo-faults"));

    let (status, head, body) = with(true, "/?status=204&size=3");
    assert_eq!((status.as_u16(), body.as_str()), (204, ""));
    assert!(head.headers().get("content-length").is_none_or(|length| length == "0"));

    let options = Options { faults: true, max_body: 3, ..Options::default() };
    let describer = Describer::new(Identity::new("pod-1", "kops"));
    let large = request("PUT", "/?status=200", "four");
    let (status, head, _) = ask(Arc::new(App::new(describer, options)), large);
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "no fault hides a refusal");
    assert_eq!(head.headers()["connection"], "close");

    let (status, head, body) = with(true, "/?status=99");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("status cannot be \"99\"") && body.lines().count() == 1, "{body}");
    assert_eq!(head.headers()["x-echo-pod"], "pod-1");

    let (_, head, _) = with(true, "/?abort=before");
    assert_eq!(head.extensions().get(), Some(&Ending::Cut));
    let (_, head, _) = with(true, "/?close");
    assert_eq!(head.extensions().get(), Some(&Ending::Close));
    assert_eq!(head.headers()["connection"], "close");
}

#[test]
fn a_body_is_returned_only_if_it_is_wanted() {
    for (wanted, body) in [(true, "a\u{1}b"), (false, "")] {
        let mut request = request("POST", "/", "a\u{1}b");
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        if wanted {
            request.headers_mut().insert(names::WANT_BODY, HeaderValue::from_static("1"));
        }
        let (_, _, json) = ask(app(), request);
        let reply: echo_reply::Reply = serde_json::from_str(&json).unwrap();
        assert_eq!(reply.body.map(|body| body.text).unwrap_or_default(), body);
        assert!(!json.trim_end().contains(char::is_control), "{json:?}");
    }
}
