//! YAML and `--set` → checked settings. Errors name the file and the line. Pure.

mod table;

use std::fmt::Display;
use std::path::{Component, PathBuf};

use super::{Api, Cluster, Docker, Ingress, Load, Settings};
use table::{Entry, Given, Place, Table};

type Result<T> = std::result::Result<T, String>;

/// Reads the settings; `file` is the name for messages.
pub(super) fn parse(file: &str, text: &str, set: &[String]) -> Result<Settings> {
    let table = Table::read(file, text)?.with(set)?;
    let reader = Reader { file, table: &table };
    reader.settings()
}

struct Reader<'a> {
    file: &'a str,
    table: &'a Table,
}

impl Reader<'_> {
    fn at(&self, place: &Place, what: impl Display) -> String {
        match place {
            Place::Line(line) => format!("{}:{line}: {what}", self.file),
            Place::Flag => format!("--set: {what}"),
            Place::Default => format!("{}: {what}", self.file),
        }
    }

    /// An error at a setting: `KEY is 'VALUE'; WHAT`.
    fn wrong(&self, key: &str, given: &Given, what: &str) -> String {
        self.at(&given.place, format!("{key} is '{}'; {what}", given.value.escape_debug()))
    }

    fn get(&self, key: &'static str) -> Given {
        self.table.value(key)
    }

    /// A text that is not empty.
    fn text(&self, key: &'static str) -> Result<String> {
        let given = self.get(key);
        if given.value.is_empty() {
            return Err(self.at(&given.place, format!("{key} is empty")));
        }
        Ok(given.value)
    }

    fn optional(&self, key: &'static str) -> Option<String> {
        Some(self.get(key).value).filter(|value| !value.is_empty())
    }

    fn flag(&self, key: &'static str) -> Result<bool> {
        let given = self.get(key);
        match given.value.as_str() {
            "1" | "true" => Ok(true),
            "" | "false" => Ok(false),
            _ => Err(self.wrong(key, &given, "write true or false")),
        }
    }

    fn one_of<T: Copy>(&self, key: &'static str, known: &[(&str, T)]) -> Result<T> {
        let given = self.get(key);
        let found = known.iter().find(|(word, _)| *word == given.value);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            self.wrong(key, &given, &format!("write one of {}", words.join(", ")))
        })
    }

    fn number<T: std::str::FromStr>(
        &self,
        key: &'static str,
        what: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let given = self.get(key);
        let plain = given.value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = given.value.parse().ok().filter(|number| plain && fits(number));
        number.ok_or_else(|| self.wrong(key, &given, what))
    }

    fn settings(&self) -> Result<Settings> {
        const APIS: [(&str, Api); 2] = [("istio", Api::Istio), ("gateway", Api::Gateway)];
        self.check_characters()?;
        let clusters = self.clusters()?;
        let repository = self.text("image-repository")?;
        let tag = self.text("tag")?;
        Ok(Settings {
            file: self.file.to_owned(),
            clusters,
            mesh_id: self.text("mesh-id")?,
            echo_image: format!("{repository}/echo:{tag}"),
            prober_image: format!("{repository}/prober:{tag}"),
            istio_version: self.istio_version()?,
            istio_revision: self.istio_revision()?,
            certs: self.text("certs")?.into(),
            api: self.one_of("api", &APIS)?,
            east_west: self.one_of("east-west", &APIS)?,
            gateway_api_version: self.text("gateway-api-version")?,
            tls_secret: self.optional("tls-secret"),
            tls_cacert: self.optional("tls-cacert"),
            outlier_detection: self.flag("outlier-detection")?,
            strict_mtls: self.flag("strict-mtls")?,
            images_pushed: self.flag("images-pushed")?,
            ingress: self.one_of(
                "ingress",
                &[("address", Ingress::Address), ("dns", Ingress::Dns), ("none", Ingress::None)],
            )?,
            load: self.load()?,
            deadline: self.number("deadline", "write a number of seconds", |_| true)?,
            overlays: self.overlays()?,
            docker: self.docker(tag)?,
        })
    }

    /// Names of Kubernetes never hold these.
    fn check_characters(&self) -> Result<()> {
        const OTHERS: [&str; 3] = ["docker", "docker-flags", "target"];
        for (key, given) in self.table.all().filter(|(key, _)| !OTHERS.contains(key)) {
            let bad = |c: char| c == '"' || c == '\\' || c.is_control();
            if given.value.contains(bad) {
                let what = "remove the quotes, backslashes and control characters";
                return Err(self.wrong(key, given, what));
            }
        }
        Ok(())
    }

    fn istio_version(&self) -> Result<String> {
        let key = "istio-version";
        let given = self.get(key);
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match given.value.split_once('.') {
            Some((major, minor)) if number(major) && number(minor) => Ok(given.value),
            _ => Err(self.wrong(
                key,
                &given,
                "write the release without its last number, as in 1.31",
            )),
        }
    }

    fn istio_revision(&self) -> Result<Option<String>> {
        let key = "istio-revision";
        let given = self.get(key);
        if given.value.is_empty() || is_name(&given.value, 50) {
            return Ok(Some(given.value).filter(|value| !value.is_empty()));
        }
        Err(self.wrong(key, &given, "use a-z, 0-9 and -, as in 1-31"))
    }

    fn load(&self) -> Result<Load> {
        let duration = self.get("duration");
        if let Err(error) = usage::duration::parse(&duration.value) {
            return Err(self.wrong("duration", &duration, &error.to_string()));
        }
        Ok(Load {
            pods: self.number("pods", "write how many pods each cluster has, as in 2", |pods| {
                (1..=99_999).contains(pods)
            })?,
            rate: self
                .number("rate", "write the requests per second, as in 100", |rate| *rate > 0.0)?,
            duration: duration.value,
            target: self.text("target")?,
        })
    }

    fn overlays(&self) -> Result<PathBuf> {
        let folder = PathBuf::from(self.text("overlays")?);
        let below = |part| matches!(part, Component::Normal(_));
        if folder.components().all(below) {
            return Ok(folder);
        }
        let what = "the folder must be below the repository's, without '..'";
        Err(self.wrong("overlays", &self.get("overlays"), what))
    }

    /// The words of a setting, as a shell splits them.
    fn words(&self, key: &'static str) -> Result<Vec<String>> {
        let given = self.get(key);
        shlex::split(&given.value).ok_or_else(|| self.wrong(key, &given, "close the quote"))
    }

    fn docker(&self, tag: String) -> Result<Docker> {
        let program = self.words("docker")?;
        if program.is_empty() {
            return Err(self.at(&self.get("docker").place, "docker is empty"));
        }
        Ok(Docker {
            program,
            flags: self.words("docker-flags")?,
            platforms: self.get("platforms").value,
            builder: self.optional("builder"),
            tag,
        })
    }

    fn clusters(&self) -> Result<Vec<Cluster>> {
        let entries = &self.table.clusters;
        if entries.len() < 2 {
            let place = entries.first().map_or(&Place::Default, |entry| &entry.name.place);
            let what = match entries.first() {
                None => "clusters is empty; name at least two clusters".to_owned(),
                Some(one) => {
                    let name = &one.name.value;
                    format!("clusters has only '{name}'; name at least two clusters")
                }
            };
            return Err(self.at(place, what));
        }
        let mut clusters: Vec<Cluster> = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let cluster = self.cluster(number, entry)?;
            for other in &clusters {
                self.check_apart(entry, &cluster, other)?;
            }
            clusters.push(cluster);
        }
        Ok(clusters)
    }

    fn cluster(&self, number: u32, entry: &Entry) -> Result<Cluster> {
        let name = &entry.name.value;
        if !is_name(name, 32) {
            let what = format!("'{name}' is not a name for a cluster; use a-z, 0-9 and -");
            return Err(self.at(&entry.name.place, what));
        }
        let given = |key| entry.get(key).map(|given| given.value.clone());
        let domain = self.text("domain")?;
        Ok(Cluster {
            name: name.clone(),
            context: given("context").unwrap_or_else(|| name.clone()),
            network: given("network").unwrap_or_else(|| format!("network{number}")),
            host: given("host").unwrap_or_else(|| format!("istio{number}.{domain}")),
            region: given("region"),
            zone: given("zone"),
            api_server: given("api-server"),
            ingress_ip: given("ingress-ip"),
        })
    }

    /// Names, contexts, networks and hosts differ.
    fn check_apart(&self, entry: &Entry, cluster: &Cluster, other: &Cluster) -> Result<()> {
        let name = &cluster.name;
        if *name == other.name {
            let what = format!("clusters names '{name}' twice; remove one");
            return Err(self.at(&entry.name.place, what));
        }
        for (key, own, others) in [
            ("network", &cluster.network, &other.network),
            ("context", &cluster.context, &other.context),
            ("host", &cluster.host, &other.host),
        ] {
            if own == others {
                let place = entry.get(key).map_or(&entry.name.place, |given| &given.place);
                let what = format!(
                    "two clusters have the {key} '{own}'; give {name} a '{key}' of its own"
                );
                return Err(self.at(place, what));
            }
        }
        Ok(())
    }
}

/// Whether a text can be a part of the names of Kubernetes.
fn is_name(text: &str, most: usize) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=most).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
