//! `-X`, `-H`, `--data`, `--data-binary`: the request that is sent again and again. Pure.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use super::error::PlanError;
use super::headers::Header;
use super::target::{Target, TargetError};
use super::{MAX_DATA, RequestPlan};
use crate::cli::{BodyArgs, BodyPart, HeaderArg, RunArgs};

pub(super) fn request(args: &RunArgs, target: &Target) -> Result<RequestPlan, PlanError> {
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| TargetError::Space(target.given.clone()))?;
    let body = body(&args.body)?;
    let method = match &args.request.method {
        None if body.is_some() => Method::POST,
        None => Method::GET,
        Some(given) if given.parse::<u64>().is_ok() => {
            return Err(PlanError::MethodIsNumber(given.clone()));
        }
        Some(given) => given.parse().map_err(|_| PlanError::Method(given.clone()))?,
    };
    let agent = HeaderValue::from_static(concat!("prober/", env!("CARGO_PKG_VERSION")));
    let first = [
        (header::HOST, "Host", Some(host)),
        (header::USER_AGENT, "User-Agent", Some(agent)),
        (header::ACCEPT, "Accept", Some(HeaderValue::from_static("*/*"))),
    ];
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let last = [
        (header::CONTENT_LENGTH, "Content-Length", body.as_ref().map(|body| body.len().into())),
        (header::CONTENT_TYPE, "Content-Type", body.as_ref().map(|_| form)),
    ];
    let given = given(args, body.is_some())?;
    // As in curl, a header that is given replaces the program's own one, and one without a value only
    // removes it.
    let own = |(name, spelling, value): (HeaderName, &str, Option<HeaderValue>)| {
        let replaced = given.iter().any(|given| given.name == name);
        Header::with(name, spelling, value.filter(|_| !replaced))
    };
    let given = given
        .iter()
        .filter_map(|given| Header::with(given.name.clone(), &given.spelling, given.value.clone()));
    let last = last.into_iter().filter_map(own);
    let headers = first.into_iter().filter_map(own).chain(given).chain(last).collect();
    Ok(RequestPlan { method, headers, body })
}

/// The headers of `-H`. As in curl, the first `Host` counts, however it is spelled.
fn given(args: &RunArgs, body: bool) -> Result<Vec<GivenHeader>, PlanError> {
    let mut all: Vec<GivenHeader> = Vec::new();
    for given in &args.request.headers {
        let header = parse_header(given)?;
        if body && [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&header.name) {
            return Err(PlanError::LengthHeader(given.to_string()));
        }
        let is_host = |header: &GivenHeader| header.name == header::HOST && header.value.is_some();
        if !is_host(&header) || !all.iter().any(is_host) {
            all.push(header);
        }
    }
    Ok(all)
}

/// The parts of the body, joined as curl joins them; `None` without any.
fn body(args: &BodyArgs) -> Result<Option<Bytes>, PlanError> {
    let mut body = Vec::new();
    for (n, part) in args.parts.iter().enumerate() {
        if n > 0 {
            body.push(b'&');
        }
        match part {
            BodyPart::Bytes(bytes) => body.extend_from_slice(bytes),
            BodyPart::File(flag, name) => {
                return Err(PlanError::FileInPlan { flag: flag.name(), name: name.clone() });
            }
        }
    }
    match body.len() {
        length if length > MAX_DATA => Err(PlanError::LongData),
        _ => Ok((!args.parts.is_empty()).then(|| body.into())),
    }
}

/// Over HTTP/2 the host is sent as `:authority`, which allows fewer characters than a header.
pub(super) fn check_authority(request: &RequestPlan) -> Result<(), PlanError> {
    let Some(host) = request.headers.get(&header::HOST) else { return Ok(()) };
    http::uri::Authority::try_from(host.as_bytes()).map(drop).map_err(|_| PlanError::Header {
        given: format!("'Host: {}'", String::from_utf8_lossy(host.as_bytes())),
        wrong: "over HTTP/2 the value must be a host",
    })
}

/// A value of `-H`.
pub(crate) struct GivenHeader {
    name: HeaderName,
    spelling: Box<str>,
    /// `None` removes one of the program's own headers.
    value: Option<HeaderValue>,
}

/// `NAME: VALUE`. As in curl, `NAME:` removes one of the program's own headers, and `NAME;` has an empty
/// value.
pub(crate) fn parse_header(given: &HeaderArg) -> Result<GivenHeader, PlanError> {
    if let Some(name) = given.file() {
        return Err(PlanError::FileInPlan { flag: "-H", name });
    }
    let wrong = |wrong| PlanError::Header { given: given.to_string(), wrong };
    let text = &given.text[..];
    let colon = text.iter().position(|byte| *byte == b':');
    let (spelling, value) = match (colon, text.strip_suffix(b";")) {
        (Some(colon), _) => {
            let value = text[colon + 1..].trim_ascii();
            (&text[..colon], (!value.is_empty()).then_some(value))
        }
        (None, Some(name)) => (name, Some(&b""[..])),
        (None, None) => return Err(wrong("the colon is missing")),
    };
    let spelling = spelling.trim_ascii();
    let name = HeaderName::from_bytes(spelling)
        .map_err(|_| wrong("the part before the colon is not a header name"))?;
    let value = value.map(HeaderValue::from_bytes).transpose();
    let value = value.map_err(|_| wrong("the value has a control character"))?;
    let spelling = String::from_utf8_lossy(spelling);
    let spelling = if name == header::HOST { "Host" } else { &*spelling };
    Ok(GivenHeader { name, spelling: spelling.into(), value })
}
