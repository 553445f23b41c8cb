//! The request of a plan as bytes: encoded once, then copied with its probe id in place. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::frame::{FRAME_SIZE, FrameHeader, flag, kind};
use super::hpack::{self, EMPTY_TABLE, Literal, TABLE_SIZE};
use crate::plan::{ProbePlan, Protocol};

/// An empty gRPC message: not compressed, zero bytes long. Every field of the request has its
/// default value.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// Connection headers, which HTTP/1.1 has and HTTP/2 forbids (RFC 9113, 8.2.2).
pub(super) const CONNECTION_HEADERS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// What the server's table of headers has of the requests of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerTable {
    /// Nothing yet.
    Empty,
    /// The fields of the request, as its first block put them there.
    Filled,
    /// The server made its table too small; it is not used, and must be told so once.
    Shrunk,
    /// It is not used.
    Unused,
}

/// A request without its number. All lanes of a connection send the same one.
#[derive(Debug)]
pub(in crate::engine) struct Template {
    /// The block that fills the server's table.
    first: Vec<u8>,
    /// The block that refers to the table.
    later: Vec<u8>,
    /// The block for a server whose table is too small.
    plain: Vec<u8>,
    /// What the fields take in the server's table.
    table: usize,
    pub(super) body: Option<Bytes>,
    pub(super) to_head: bool,
}

impl Template {
    /// The request of a plan. Its probe id, which is the last of each block, comes with each number.
    #[must_use]
    pub(super) fn new(plan: &ProbePlan) -> Self {
        let grpc = matches!(plan.protocol, Protocol::Grpc(_));
        let fields = fields(plan, grpc);
        let (mut first, mut later, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let (mut table, mut entries) = (0, 0);
        for (name, value) in &fields {
            hpack::encode(name.as_bytes(), value, Literal::Plain, &mut plain);
            if hpack::encode(name.as_bytes(), value, Literal::Indexed, &mut first) {
                table += hpack::size(name.as_bytes(), value);
                entries += 1;
            }
        }
        for (name, value) in &fields {
            if hpack::is_static(name.as_bytes(), value) {
                hpack::encode(name.as_bytes(), value, Literal::Indexed, &mut later);
            } else {
                // The field that entered last is the newest entry.
                entries -= 1;
                hpack::encode_entry(entries, &mut later);
            }
        }
        let method = if grpc { &Method::POST } else { &plan.request.method };
        Self {
            first,
            later,
            plain,
            table,
            body: match grpc {
                true => Some(Bytes::from_static(&EMPTY_MESSAGE)),
                false => plan.request.body.clone().filter(|body| !body.is_empty()),
            },
            to_head: *method == Method::HEAD,
        }
    }

    /// Whether a table of the usual size can hold the fields.
    #[must_use]
    pub(super) fn fits(&self) -> bool {
        self.table <= TABLE_SIZE
    }

    /// Appends the frames of the request's head, and notes what the server's table then has.
    pub(super) fn write_head(
        &self,
        stream: u32,
        probe_id: &[u8],
        table: &mut ServerTable,
        into: &mut Vec<u8>,
    ) {
        let (prefix, block, after): (&[u8], _, _) = match *table {
            ServerTable::Empty => (&[], &self.first, ServerTable::Filled),
            ServerTable::Filled => (&[], &self.later, ServerTable::Filled),
            ServerTable::Shrunk => (&[EMPTY_TABLE], &self.plain, ServerTable::Unused),
            ServerTable::Unused => (&[], &self.plain, ServerTable::Unused),
        };
        *table = after;
        let end = if self.body.is_none() { flag::END_STREAM } else { 0 };
        let start = into.len();
        let (kind, flags) = (kind::HEADERS, end | flag::END_HEADERS);
        let header = FrameHeader { length: 0, kind, flags, stream };
        header.write(into);
        let payload = into.len();
        into.extend_from_slice(prefix);
        into.extend_from_slice(block);
        let name = echo_reply::headers::PROBE_ID.as_bytes();
        hpack::encode(name, probe_id, Literal::Plain, into);
        let length = into.len() - payload;
        if length <= FRAME_SIZE {
            let [_, a, b, c] = (length as u32).to_be_bytes();
            into[start..start + 3].copy_from_slice(&[a, b, c]);
        } else {
            let block = into.split_off(payload);
            into.truncate(start);
            continued(&block, end, stream, into);
        }
    }
}

/// A block of headers that is larger than a frame may be.
fn continued(block: &[u8], end_stream: u8, stream: u32, into: &mut Vec<u8>) {
    let parts = block.chunks(FRAME_SIZE);
    let last = parts.len() - 1;
    for (n, part) in parts.enumerate() {
        let (kind, flags) = match n {
            0 => (kind::HEADERS, end_stream),
            _ => (kind::CONTINUATION, 0),
        };
        let flags = flags | if n == last { flag::END_HEADERS } else { 0 };
        FrameHeader { length: part.len(), kind, flags, stream }.write(into);
        into.extend_from_slice(part);
    }
}

/// All fields but the probe id, in their order.
fn fields(plan: &ProbePlan, grpc: bool) -> Vec<(String, Vec<u8>)> {
    let mut headers = plan.request.headers.to_map();
    let host = headers.remove(header::HOST);
    let authority = host.as_ref().map_or(plan.target.authority.as_bytes(), HeaderValue::as_bytes);
    trim(&mut headers, grpc);
    let method = if grpc { "POST" } else { plan.request.method.as_str() };
    let pseudo = [
        (":method", method.as_bytes()),
        (":scheme", if plan.target.tls { b"https" } else { b"http" }),
        (":authority", authority),
        (":path", plan.target.path.as_bytes()),
    ];
    let pseudo = pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
    let others = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    pseudo.chain(others).collect()
}

/// Removes what HTTP/2 forbids, and the probe id: a second one would make every answer that returns
/// it a copy.
fn trim(headers: &mut HeaderMap, grpc: bool) {
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    headers.remove(echo_reply::headers::PROBE_ID);
    if grpc {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    }
    if grpc || headers.contains_key(header::TE) {
        // The only value that HTTP/2 allows.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Decoder;
    use super::*;
    use clap::Parser as _;

    fn template(args: &[&str]) -> Template {
        let cli = crate::cli::Cli::try_parse_from([&["prober"], args].concat()).unwrap();
        Template::new(&crate::plan::run(&cli.run).unwrap().remove(0))
    }

    /// The frames of a request, and the fields in them.
    fn sent(
        template: &Template,
        decoder: &mut Decoder<()>,
        table: &mut ServerTable,
    ) -> (Vec<(u8, u8)>, Vec<String>) {
        let (mut bytes, mut block, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        template.write_head(7, b"run-01", table, &mut bytes);
        let mut rest = &bytes[..];
        while let Some(header) = FrameHeader::read(rest) {
            let payload = &rest[9..9 + header.length];
            assert!(header.stream == 7 && payload.len() <= FRAME_SIZE);
            frames.push((header.kind, header.flags));
            block.extend_from_slice(payload);
            rest = &rest[9 + header.length..];
        }
        let mut lines = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(&block, |f| lines.push(text(f.name) + ": " + &text(f.value))).unwrap();
        (frames, lines)
    }

    const WHOLE: (u8, u8) = (kind::HEADERS, flag::END_HEADERS | flag::END_STREAM);

    #[test]
    fn every_block_says_the_same() {
        let template = template(&[
            "http://echo1:8080/a?b",
            "--http2-prior-knowledge",
            "-H",
            "x: y",
            "-H",
            "Connection: close",
            "-H",
            "X-Probe-Id: mine",
            "-H",
            "te: gzip",
            "-H",
            "user-agent: u",
        ]);
        let lines = [
            ":method: GET",
            ":scheme: http",
            ":authority: echo1:8080",
            ":path: /a?b",
            "accept: */*",
            "x: y",
            "te: trailers",
            "user-agent: u",
            "x-probe-id: run-01",
        ];
        let (mut decoder, mut table) = (Decoder::new(|_, _| ()), ServerTable::Empty);
        let mut expected: Vec<_> = lines.map(str::to_owned).into();
        expected.sort();
        for used in [ServerTable::Filled, ServerTable::Filled] {
            let (frames, mut lines) = sent(&template, &mut decoder, &mut table);
            assert_eq!(frames, [WHOLE]);
            assert!(lines[..4].iter().all(|line| line.starts_with(':')), "{lines:?}");
            lines.sort();
            assert_eq!((&lines, table), (&expected, used));
        }
        // The server makes its table smaller.
        table = ServerTable::Shrunk;
        for _ in 0..2 {
            let (_, mut lines) = sent(&template, &mut decoder, &mut table);
            lines.sort();
            assert_eq!((&lines, table), (&expected, ServerTable::Unused));
        }
        assert!(template.later.len() < 12, "every field is a byte: {:?}", template.later);
    }

    #[test]
    fn a_large_head_takes_several_frames() {
        let value = "v".repeat(20_000);
        let (x, y) = (format!("x: {value}"), format!("y: {value}"));
        let args = ["http://a/", "--http2-prior-knowledge", "-H", &x, "-H", &y, "--data", "b"];
        let template = template(&args);
        assert!(!template.fits());
        let (mut decoder, mut table) = (Decoder::new(|_, _| ()), ServerTable::Unused);
        let (frames, lines) = sent(&template, &mut decoder, &mut table);
        let more = (kind::CONTINUATION, 0);
        let last = (kind::CONTINUATION, flag::END_HEADERS);
        assert_eq!(frames, [(kind::HEADERS, 0), more, last]);
        assert!(lines.contains(&x) && lines.contains(&y));
    }
}
