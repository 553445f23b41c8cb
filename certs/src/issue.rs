//! Issues a workload certificate: reads the authority's directory, writes the workload's.

use std::path::Path;
use std::time::Duration;

use crate::authority::Authority;
use crate::authority::folder;
use crate::certificate::{Certificate, day_and_time};
use crate::error::Error;
use crate::files::{
    CA_CERT, CA_KEY, CERT_CHAIN as CHAIN, ROOT_CERT, ROOT_KEY, WORKLOAD_KEY as KEY,
};
use crate::key::KeyKind;
use crate::spiffe::SpiffeId;

/// Issues a certificate from the authority in the directory `ca`, and writes it to the
/// directory `out`. Returns its end as text.
///
/// # Errors
/// If the authority cannot be read, or if `out` cannot be written or contains keys or
/// certificates of another id.
pub fn issue(
    ca: &Path,
    out: &Path,
    id: &SpiffeId,
    kind: KeyKind,
    validity: Duration,
) -> Result<String, Error> {
    check_free(out, id)?;
    let certificate = ca.join(CA_CERT);
    if !certificate.exists() && ca.join(ROOT_CERT).exists() {
        let problem = "give the directory of a cluster, which is inside that of the root";
        return Err(Error::Missing { path: certificate, problem });
    }
    let workload = Authority::read(ca)?.workload(id, kind, validity)?;
    workload.write(out)?;
    let path = out.join(CHAIN);
    let made = Certificate::parse_all(workload.chain_pem.as_bytes(), &path)?;
    Ok(day_and_time(made[0].not_after()))
}

/// Refuses a directory that contains keys or certificates of another id.
fn check_free(out: &Path, id: &SpiffeId) -> Result<(), Error> {
    let in_the_way =
        |name: &str, problem: String| Err(Error::InTheWay { path: out.join(name), problem });
    for name in [CA_CERT, CA_KEY, ROOT_KEY] {
        if out.join(name).exists() {
            return in_the_way(name, "belongs to a CA; choose another --out".into());
        }
    }
    let chain = out.join(CHAIN);
    let renewed = chain.exists() && folder::read_first(&chain)?.names() == [format!("URI:{id}")];
    for name in [CHAIN, KEY] {
        if out.join(name).exists() && !renewed {
            return in_the_way(name, format!("does not belong to {id}; choose another --out"));
        }
    }
    Ok(())
}
