//! Short HTTP requests, one after the other, to admin interfaces and services.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::process::isolation::Isolation;

/// The time limit of a request; all processes are on this machine.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A client that reuses no connection and ignores proxy settings.
#[derive(Debug)]
pub(crate) struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    /// The namespaces of the mesh, if it is isolated.
    isolation: Option<Arc<Isolation>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new(isolation: Option<Arc<Isolation>>) -> Result<Self, Error> {
        let failed = |why: String| Error::Http { url: "HTTP client".into(), why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(usage::local_limit(&error)))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| failed(usage::why_no_answer(&error)))?;
        Ok(Self { runtime, client, isolation })
    }

    /// Sends a GET request to `to`, with the `Host` header `host` if it is given.
    pub(crate) fn get(
        &self,
        to: SocketAddrV4,
        path: &str,
        host: Option<&str>,
    ) -> Result<Answer, Error> {
        let url = format!("http://{to}{path}");
        let mut request = self.client.get(&url);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        self.send(to, request, url)
    }

    fn send(
        &self,
        to: SocketAddrV4,
        request: reqwest::RequestBuilder,
        url: String,
    ) -> Result<Answer, Error> {
        // The runtime runs on this thread only, so its sockets are in this thread's namespace.
        let ask = || {
            self.runtime.block_on(async {
                let response = request.send().await?;
                let status = response.status().as_u16();
                Ok(Answer { status, body: response.text().await? })
            })
        };
        let answer = match &self.isolation {
            Some(isolation) => isolation.with(*to.ip(), ask)?,
            None => ask(),
        };
        answer
            .map_err(|error: reqwest::Error| Error::Http { url, why: usage::why_no_answer(&error) })
    }

    /// Sends a POST request without a body: a command of Envoy's admin interface.
    pub(crate) fn post(&self, to: SocketAddrV4, path: &str) -> Result<Answer, Error> {
        let url = format!("http://{to}{path}");
        self.send(to, self.client.post(&url), url)
    }

    /// The counters and gauges of an Envoy whose names match the regular expression `pattern`
    /// somewhere.
    pub(crate) fn statistics(
        &self,
        admin: SocketAddrV4,
        pattern: &str,
    ) -> Result<BTreeMap<String, u64>, Error> {
        #[derive(Deserialize)]
        struct Page {
            stats: Vec<Entry>,
        }
        /// Histograms have neither name nor value here and are left out.
        #[derive(Deserialize)]
        struct Entry {
            name: Option<String>,
            value: Option<serde_json::Value>,
        }
        let filter: String = reqwest::Url::parse_with_params("http://x", [("filter", pattern)])
            .map(|url| url.query().unwrap_or_default().to_owned())
            .unwrap_or_default();
        let path = format!("/stats?format=json&{filter}");
        let answer = self.get(admin, &path, None)?;
        let page: Page = serde_json::from_str(&answer.body).map_err(|error| Error::Http {
            url: format!("http://{admin}{path}"),
            why: usage::json::problem(&error),
        })?;
        let number = |entry: Entry| Some((entry.name?, entry.value?.as_u64()?));
        Ok(page.stats.into_iter().filter_map(number).collect())
    }
}
