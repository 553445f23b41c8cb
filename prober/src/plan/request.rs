//! `-X`, `-H`, `--data`: the request that is sent again and again. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::error::PlanError;
use super::target::{Target, TargetError};
use super::{MAX_DATA, RequestPlan};
use crate::cli::RequestArgs;

pub(super) fn request(args: &RequestArgs, target: &Target) -> Result<RequestPlan, PlanError> {
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| TargetError::Space(target.given.clone()))?;
    let body = body(args)?;
    let method = match &args.method {
        None if body.is_some() => Method::POST,
        None => Method::GET,
        Some(given) if given.parse::<u64>().is_ok() => {
            return Err(PlanError::MethodIsNumber(given.clone()));
        }
        Some(given) => given.parse().map_err(|_| PlanError::Method(given.clone()))?,
    };
    let mut headers = HeaderMap::new();
    let agent = HeaderValue::from_static(concat!("prober/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::HOST, host);
    if let Some(body) = &body {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut own = HeaderMap::new();
    for given in &args.headers {
        let (name, value) = parse_header(given)?;
        if body.is_some() && [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&name) {
            let (given, wrong) = (given.clone(), "--data sets the length itself");
            return Err(PlanError::Header { given, wrong });
        }
        headers.remove(&name);
        own.append(name, value);
    }
    for (name, value) in own.iter().filter(|(_, value)| !value.is_empty()) {
        headers.append(name, value.clone());
    }
    Ok(RequestPlan { method, headers, body })
}

/// The values of `--data`, joined as curl joins them; `None` without the flag.
fn body(args: &RequestArgs) -> Result<Option<Bytes>, PlanError> {
    if args.data.is_empty() {
        return Ok(None);
    }
    if let (None, Some(file)) = (&args.body, args.data.iter().find(|data| data.starts_with('@'))) {
        return Err(PlanError::DataFile(file.clone()));
    }
    let body = args.body.clone().unwrap_or_else(|| args.data.join("&").into_bytes());
    match body.len() {
        length if length > MAX_DATA => Err(PlanError::LongData),
        _ => Ok(Some(body.into())),
    }
}

/// Over HTTP/2 the host is sent as `:authority`, which allows fewer characters than a header.
pub(super) fn check_authority(request: &RequestPlan) -> Result<(), PlanError> {
    let Some(host) = request.headers.get(header::HOST) else { return Ok(()) };
    http::uri::Authority::try_from(host.as_bytes()).map(drop).map_err(|_| PlanError::Header {
        given: format!("Host: {}", String::from_utf8_lossy(host.as_bytes())),
        wrong: "over HTTP/2 the value must be a host",
    })
}

/// `NAME: VALUE`; as in curl, `NAME:` removes one of the program's own headers.
pub(super) fn parse_header(given: &str) -> Result<(HeaderName, HeaderValue), PlanError> {
    let wrong = |wrong| PlanError::Header { given: given.escape_debug().to_string(), wrong };
    let (name, value) = given.split_once(':').ok_or_else(|| wrong("the colon is missing"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| wrong("the part before the colon is not a header name"))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| wrong("the value has a control character"))?;
    Ok((name, value))
}
