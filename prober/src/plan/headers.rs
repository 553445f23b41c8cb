//! The headers of a request, in the order and the spelling in which HTTP/1.1 sends them. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A header of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: HeaderName,
    /// The name as it was written. HTTP/2 sends lower case only.
    pub spelling: Box<str>,
    pub value: HeaderValue,
}

impl Header {
    /// `None` without a value.
    #[must_use]
    pub(super) fn with(
        name: HeaderName,
        spelling: &str,
        value: Option<HeaderValue>,
    ) -> Option<Self> {
        Some(Self { name, spelling: spelling.into(), value: value? })
    }
}

/// The headers of a request. `Host` is among them unless it was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeaders(Vec<Header>);

impl RequestHeaders {
    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find(|header| header.name == *name).map(|header| &header.value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// Without order and spelling.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        self.iter().map(|header| (header.name.clone(), header.value.clone())).collect()
    }
}

impl FromIterator<Header> for RequestHeaders {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}
