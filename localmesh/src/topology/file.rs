//! Topology files: YAML → a checked shape. Every error names file and line. Pure, except
//! [`read`].

mod entries;

use std::collections::BTreeMap;
use std::path::Path;

use serde_saphyr::{Location, Spanned};

use super::clusters::Locality;
use super::names::Service;
use super::plan::{
    self, ClusterShape, MAX_CLUSTERS, MAX_GATEWAYS, MAX_REPLICAS, MAX_SERVICES, Shape,
};
use crate::error::Error;
use entries::{ClusterEntry, File, Pods, ServiceEntry};

/// Reads the topology file at `path`.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Topology`] if it is invalid.
pub fn read(path: &Path) -> Result<Shape, Error> {
    let text = usage::file::read_text(path).map_err(Error::file(path))?;
    parse(&path.display().to_string(), &text)
}

/// Reads a topology; `file` is its name in error messages.
///
/// # Errors
/// [`Error::Topology`] with the line of the first error.
pub fn parse(file: &str, text: &str) -> Result<Shape, Error> {
    let parsed: File = serde_saphyr::from_str(text).map_err(|error| {
        let (line, wrong) = usage::yaml::problem(text, &error, "'services:' and 'clusters:'");
        Error::Topology { file: file.to_owned(), line, wrong }
    })?;
    Reader { file, parsed: &parsed }.shape()
}

struct Reader<'a> {
    file: &'a str,
    parsed: &'a File,
}

impl Reader<'_> {
    fn at(&self, place: Location, wrong: impl Into<String>) -> Error {
        Error::Topology { file: self.file.to_owned(), line: place.line(), wrong: wrong.into() }
    }

    fn shape(&self) -> Result<Shape, Error> {
        let services = self.services()?;
        let clusters = self.clusters(&services)?;
        for (index, entry) in self.parsed.services.value.iter().enumerate() {
            if clusters.iter().all(|cluster| cluster.replicas[index] == 0) {
                let name = &entry.name.value;
                let wrong = format!(
                    "service '{name}' has no pod in any cluster; write how many under the \
                     'pods' of one, such as 'pods: {{{name}: 1}}'"
                );
                return Err(self.at(entry.name.referenced, wrong));
            }
        }
        Ok(Shape { clusters, services })
    }

    fn services(&self) -> Result<Vec<Service>, Error> {
        let list = &self.parsed.services;
        if list.value.is_empty() {
            return Err(
                self.at(list.referenced, "the list of services is empty; write at least one")
            );
        }
        if list.value.len() > MAX_SERVICES {
            let wrong = format!(
                "{} services of up to {MAX_REPLICAS} pods need more addresses than a cluster has; \
                 write at most {MAX_SERVICES}",
                list.value.len()
            );
            return Err(self.at(list.referenced, wrong));
        }
        let mut taken: Vec<(String, &str)> =
            plan::own_labels().map(|label| (label, "a pod of each cluster")).collect();
        let mut services = Vec::new();
        for entry in &list.value {
            services.push(self.service(entry, &mut taken)?);
        }
        Ok(services)
    }

    /// One service. The labels of all its possible pods must be unique.
    fn service<'a>(
        &'a self,
        entry: &'a ServiceEntry,
        taken: &mut Vec<(String, &'a str)>,
    ) -> Result<Service, Error> {
        let name = self.name("service", &entry.name)?;
        let namespace = self.name("namespace", &entry.namespace)?;
        let clusters = self.parsed.clusters.value.iter();
        // The files of subsets are named after service and cluster.
        let subsets = clusters.map(|cluster| format!("{name}-{}", cluster.name.value));
        let labels = (1..=MAX_REPLICAS).map(|number| plan::label(name, number)).chain(subsets);
        for label in labels {
            let holder = taken.iter().find(|(other, _)| *other == label).map(|(_, who)| *who);
            match holder {
                Some(who) if who == name && label == name => {
                    let wrong =
                        format!("the service name '{name}' is used twice; choose another name");
                    return Err(self.at(entry.name.referenced, wrong));
                }
                Some(who) if who != name => {
                    let wrong = format!(
                        "service '{name}' conflicts with {who}: both use '{label}'; choose another \
                         name"
                    );
                    return Err(self.at(entry.name.referenced, wrong));
                }
                Some(_) => {}
                None => taken.push((label, name)),
            }
        }
        Ok(Service::new(name, namespace, entry.sidecar))
    }

    fn clusters(&self, services: &[Service]) -> Result<Vec<ClusterShape>, Error> {
        let list = &self.parsed.clusters;
        if list.value.is_empty() {
            return Err(
                self.at(list.referenced, "the list of clusters is empty; write at least one")
            );
        }
        if list.value.len() > usize::from(MAX_CLUSTERS) {
            let wrong =
                format!("{} clusters are too many; write at most {MAX_CLUSTERS}", list.value.len());
            return Err(self.at(list.referenced, wrong));
        }
        let mut clusters: Vec<ClusterShape> = Vec::new();
        for (number, entry) in (1..).zip(&list.value) {
            let cluster = self.cluster(number, entry, services)?;
            for other in &clusters {
                self.apart(entry, &cluster, other)?;
            }
            clusters.push(cluster);
        }
        Ok(clusters)
    }

    /// Checks that two clusters have different names, addresses and hosts.
    fn apart(
        &self,
        entry: &ClusterEntry,
        one: &ClusterShape,
        other: &ClusterShape,
    ) -> Result<(), Error> {
        let place = entry.name.referenced;
        if one.name == other.name {
            return Err(self.at(
                place,
                format!("the cluster name '{}' is used twice; choose another name", one.name),
            ));
        }
        if one.subnet == other.subnet {
            let place = entry.subnet.as_ref().map_or(place, |subnet| subnet.referenced);
            let wrong = format!(
                "the addresses of clusters '{}' and '{}' overlap: both have subnet {}; write \
                 another 'subnet'",
                other.name, one.name, one.subnet
            );
            return Err(self.at(place, wrong));
        }
        if one.host == other.host {
            let place = entry.host.as_ref().map_or(place, |host| host.referenced);
            let wrong = format!(
                "cluster '{}' already has the host '{}'; write another 'host'",
                other.name, one.host
            );
            return Err(self.at(place, wrong));
        }
        Ok(())
    }

    fn cluster(
        &self,
        number: u8,
        entry: &ClusterEntry,
        services: &[Service],
    ) -> Result<ClusterShape, Error> {
        let name = self.name("cluster", &entry.name)?;
        let locality = self.locality(entry)?;
        let mut shape = ClusterShape::new(number, name, locality, vec![0; services.len()]);
        if let Some(network) = &entry.network {
            shape.network = self.name("network", network)?.to_owned();
        }
        if let Some(host) = &entry.host {
            shape.host = self.host(host)?.to_owned();
        }
        if let Some(subnet) = &entry.subnet {
            shape.subnet = self.within("subnet", subnet, 1, MAX_CLUSTERS)?;
        }
        if let Some(count) = &entry.ingress_gateways {
            shape.ingress_gateways = self.within("ingress-gateways", count, 0, MAX_GATEWAYS)?;
        }
        if let Some(count) = &entry.east_west_gateways {
            shape.east_west_gateways = self.within("east-west-gateways", count, 0, MAX_GATEWAYS)?;
        }
        self.pods(&mut shape, &entry.pods, services)?;
        Ok(shape)
    }

    fn pods(
        &self,
        shape: &mut ClusterShape,
        entries: &BTreeMap<String, Spanned<Pods>>,
        services: &[Service],
    ) -> Result<(), Error> {
        shape.places = vec![Vec::new(); services.len()];
        for (name, pods) in entries {
            let known = || services.iter().map(|service| service.name.as_str());
            let Some(index) = known().position(|known| known == name) else {
                return Err(self.at(pods.referenced, unknown("service", name, known())));
            };
            let count = match &pods.value {
                Pods::Count(count) => *count,
                Pods::Zones(zones) => i64::try_from(zones.len()).unwrap_or(i64::MAX),
            };
            let fits = u8::try_from(count).ok().filter(|count| *count <= MAX_REPLICAS);
            let Some(count) = fits else {
                let wrong =
                    format!("{count} pods of '{name}' is out of range; write 0 to {MAX_REPLICAS}");
                return Err(self.at(pods.referenced, wrong));
            };
            shape.replicas[index] = count;
            if let Pods::Zones(zones) = &pods.value {
                let region = &shape.locality.region;
                let place = |zone: &Spanned<String>| {
                    let zone = self.place("zone", zone)?.to_owned();
                    Ok(Locality { region: region.clone(), zone })
                };
                shape.places[index] = zones.iter().map(place).collect::<Result<_, Error>>()?;
            }
        }
        Ok(())
    }

    fn locality(&self, entry: &ClusterEntry) -> Result<Locality, Error> {
        let name = &entry.name.value;
        let (region, zone) = match (&entry.region, &entry.zone) {
            (Some(region), Some(zone)) => (region, zone),
            (Some(region), None) => {
                let wrong = format!(
                    "cluster '{name}' has a region but no zone; write one, such as 'zone: {}a'",
                    region.value
                );
                return Err(self.at(region.referenced, wrong));
            }
            (None, _) => {
                let wrong = format!("cluster '{name}' has no region; write 'region' and 'zone'");
                return Err(self.at(entry.name.referenced, wrong));
            }
        };
        Ok(Locality {
            region: self.place("region", region)?.to_owned(),
            zone: self.place("zone", zone)?.to_owned(),
        })
    }

    fn within(&self, key: &str, number: &Spanned<i64>, least: u8, most: u8) -> Result<u8, Error> {
        let fits = u8::try_from(number.value).ok().filter(|n| (least..=most).contains(n));
        fits.ok_or_else(|| {
            let wrong = format!("{key}: {} is out of range; write {least} to {most}", number.value);
            self.at(number.referenced, wrong)
        })
    }

    /// A DNS label, as in Kubernetes: it becomes part of paths, host names and SPIFFE ids.
    fn name<'a>(&self, kind: &str, name: &'a Spanned<String>) -> Result<&'a str, Error> {
        if is_label(&name.value) {
            return Ok(&name.value);
        }
        let wrong = format!(
            "'{}' is not a {kind} name; write at most 63 of a-z, 0-9 and '-', not at the ends",
            shown(&name.value)
        );
        Err(self.at(name.referenced, wrong))
    }

    fn host<'a>(&self, host: &'a Spanned<String>) -> Result<&'a str, Error> {
        let labels = host.value.split('.').all(is_label);
        if labels && host.value.len() <= 253 {
            return Ok(&host.value);
        }
        let wrong =
            format!("'{}' is not a host name; write for example a.example.com", shown(&host.value));
        Err(self.at(host.referenced, wrong))
    }

    /// A region or zone name.
    fn place<'a>(&self, kind: &str, name: &'a Spanned<String>) -> Result<&'a str, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.value.is_empty() && name.value.len() <= 63 && name.value.chars().all(plain) {
            return Ok(&name.value);
        }
        let wrong = format!(
            "'{}' is not a {kind} name; write letters, digits, '-', '_' and '.'",
            shown(&name.value)
        );
        Err(self.at(name.referenced, wrong))
    }
}

/// Whether a name is a DNS label of RFC 1123 in lower case.
fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A text of the file for a message: short and on one line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    shown
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let name = shown(name);
    match usage::nearest(&name, known.clone()) {
        Some(near) => format!("unknown {kind} '{name}'; did you mean '{near}'?"),
        None => {
            let known: Vec<_> = known.collect();
            format!("unknown {kind} '{name}'; known: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
