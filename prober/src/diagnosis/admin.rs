//! Reads the admin interfaces of Envoys: by URL, or with `pilot-agent request GET` behind a
//! command. Every page is bounded in size and time. A page that cannot be read is a reason to
//! report, not an error.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use super::admin_pages::{self, Snapshot};
use super::evidence::{self, Reading, Readings, Role, Sighting};
use crate::plan::{Access, Envoy};
use crate::process;

/// The longest page that is read, in bytes: `/clusters` of a large mesh has tens of MB.
const MAX_PAGE: usize = 64 << 20;
/// The time limit of a page that is read by URL.
const URL_LIMIT: Duration = Duration::from_secs(3);
/// The time limit behind a command, which may have to reach another cluster first.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);

/// Envoys that were read before a run; [`Observation::end`] reads them again.
#[derive(Debug)]
pub(crate) struct Observation {
    envoys: Vec<Envoy>,
    before: Vec<Result<Snapshot, String>>,
}

impl Observation {
    /// Reads the Envoys before a run. `None` if there are none to read.
    #[must_use]
    pub(crate) fn begin(envoys: &[Envoy], stop: &CancellationToken) -> Option<Self> {
        let all = || Reader::new(stop).all(envoys);
        (!envoys.is_empty()).then(|| Self { envoys: envoys.to_vec(), before: all() })
    }

    /// Reads them again, and keeps what is relevant to requests to `host` and `port`.
    #[must_use]
    pub(crate) fn end(self, host: &str, port: u16, stop: &CancellationToken) -> Readings {
        let reader = Reader::new(stop);
        let after = reader.all(&self.envoys);
        let pairs = self.envoys.iter().zip(self.before).zip(after);
        let sightings = pairs.map(|((envoy, before), after)| Sighting {
            name: envoy.name.clone(),
            from: envoy.access.to_string(),
            before,
            after,
        });
        let mut readings = evidence::digest(sightings.collect(), host, port);
        for (reading, envoy) in readings.envoys.iter_mut().zip(&self.envoys) {
            // Only the Envoy that chose is asked for its settings. If that fails, only locality
            // weights and ejection limits are unknown.
            if reading.role == Role::Client && !reading.upstreams.is_empty() {
                reader.read_settings(&envoy.access, reading);
            }
        }
        readings
    }
}

struct Reader<'a> {
    /// `Err` holds why nothing can be read.
    tools: Result<(tokio::runtime::Runtime, Client), String>,
    stop: &'a CancellationToken,
}

impl<'a> Reader<'a> {
    fn new(stop: &'a CancellationToken) -> Self {
        let tools = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| usage::local_limit(&error))?;
            // Admin interfaces are local, so a proxy cannot reach them; Envoy never redirects.
            let client = Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(URL_LIMIT)
                .build();
            Ok((runtime, client.map_err(|error| usage::why_no_answer(&error))?))
        };
        Self { tools: tools(), stop }
    }

    /// Reads all of them at the same time.
    fn all(&self, envoys: &[Envoy]) -> Vec<Result<Snapshot, String>> {
        match &self.tools {
            Err(why) => envoys.iter().map(|_| Err(why.clone())).collect(),
            Ok((runtime, client)) => runtime.block_on(async {
                let each = envoys.iter().map(|envoy| self.snapshot(client, &envoy.access));
                join_all(each).await
            }),
        }
    }

    async fn snapshot(&self, client: &Client, access: &Access) -> Result<Snapshot, String> {
        let [info, clusters, stats] = [
            admin_pages::SERVER_INFO.to_owned(),
            admin_pages::CLUSTERS.to_owned(),
            admin_pages::stats_path(),
        ];
        // If this is not an Envoy, no further page is requested.
        let node = self.get(client, access, &info).await?;
        let node = admin_pages::node(&node).map_err(|error| format!("{access}/{info}: {error}"))?;
        let page = self.get(client, access, &clusters).await?;
        let clusters = admin_pages::clusters(&page)
            .map_err(|error| format!("{access}/{clusters}: {error}"))?;
        let counters = admin_pages::counters(&self.get(client, access, &stats).await?);
        Ok(Snapshot { node, clusters, counters })
    }

    /// Adds the load-balancing settings of a reading's clusters, as far as the Envoy shows them.
    fn read_settings(&self, access: &Access, reading: &mut Reading) {
        let Ok((runtime, client)) = &self.tools else { return };
        runtime.block_on(async {
            for path in admin_pages::BALANCING {
                if reading.upstreams.iter().all(|upstream| upstream.settings.is_some()) {
                    break;
                }
                let page = self.get(client, access, path).await;
                let all = page.ok().and_then(|page| admin_pages::balancing(&page).ok());
                let all = all.unwrap_or_default();
                for upstream in &mut reading.upstreams {
                    upstream.settings =
                        upstream.settings.take().or_else(|| all.get(&upstream.name).cloned());
                }
            }
            for upstream in &mut reading.upstreams {
                let Some(settings) = &mut upstream.settings else { continue };
                if !settings.locality_weighted {
                    continue;
                }
                let page =
                    self.get(client, access, &admin_pages::weights_path(&upstream.name)).await;
                let weights = page.ok().and_then(|page| admin_pages::weights(&page).ok());
                settings.localities =
                    weights.and_then(|mut all| all.remove(&upstream.name)).unwrap_or_default();
            }
        });
    }

    /// Reads a page; `path` has no leading slash.
    async fn get(&self, client: &Client, access: &Access, path: &str) -> Result<Vec<u8>, String> {
        match access {
            Access::Url(base) => {
                let fetched = self.stop.run_until_cancelled(by_url(client, base, path)).await;
                fetched.unwrap_or_else(|| Err("interrupted".to_owned()))
            }
            Access::Command(prefix) => {
                let mut words = prefix.clone();
                words.extend(["pilot-agent", "request", "GET", path].map(str::to_owned));
                let said = process::output(&words, COMMAND_LIMIT, self.stop, MAX_PAGE).await;
                let said = said.map_err(|error| error.to_string())?;
                if said.cut {
                    return Err(too_long(access, path));
                }
                match said.status.success() {
                    true => Ok(said.output),
                    false => Err(without_sidecar(said.complaint())),
                }
            }
        }
    }
}

/// What kubectl says of a pod without a sidecar, in words about Istio.
fn without_sidecar(complaint: String) -> String {
    let missing = |words: &&str| complaint.contains(words);
    let said = ["container istio-proxy is not valid for", "container istio-proxy not found in"];
    match said.iter().any(missing) {
        true => {
            "its pod has no sidecar (no container istio-proxy), so no Envoy balances its requests"
                .into()
        }
        false => complaint,
    }
}

async fn by_url(client: &Client, base: &str, path: &str) -> Result<Vec<u8>, String> {
    let url = format!("{base}/{path}");
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        match error.is_timeout() {
            true => format!("{base}: no answer within {URL_LIMIT:?}"),
            false => format!("{base}: {}", usage::why_no_answer(&error)),
        }
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if !response.status().is_success() {
        let path = path.split('?').next().unwrap_or_default();
        let status = response.status();
        return Err(format!("{base}: not an Envoy admin interface: /{path} answers {status}"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_PAGE {
            return Err(too_long(&Access::Url(base.to_owned()), path));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_long(access: &Access, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    format!("{access}: /{path} is longer than {} MiB", MAX_PAGE >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_without_a_sidecar_is_called_so() {
        for said in [
            "Error from server (BadRequest): container istio-proxy is not valid for pod sleep-1",
            "error: container istio-proxy not found in pod sleep-1_istio-disabled",
        ] {
            let told = without_sidecar(said.to_owned());
            assert!(told.starts_with("its pod has no sidecar"), "{told}");
        }
        let other = "error: pods \"sleep\" not found";
        assert_eq!(without_sidecar(other.to_owned()), other);
    }
}
