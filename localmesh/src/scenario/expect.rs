//! The expectations of a scenario: a small grammar over prober's report. Pure.
//!
//! `METRIC < VALUE` (or `<=`, `>`, `>=`, `=`), `METRIC LOW..HIGH`, `METRIC never`,
//! `only NAMES`, `saw TEXT`, `not saw TEXT`. Metrics: `failed`, `lost`, `slow`, `retried`
//! (counts, or percent of all requests), `share CLUSTER` (percent of the answers),
//! `pods CLUSTER` (pods that answered), `detect`, `failover`, `failback`, `p50`, `p99`, `max`
//! (durations), `overshoot` (points), `counter ENVOY NAME` (the sum of an Envoy's statistics
//! whose names end with NAME).

use std::fmt;

use serde_json::Value;
use usage::duration;

#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// As written.
    pub text: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Between {
        metric: Metric,
        /// Whether the bounds are percent of the requests.
        percent: bool,
        /// Inclusive.
        low: f64,
        /// Inclusive.
        high: f64,
    },
    /// A time does not end within the run.
    Never(Metric),
    /// Exactly these clusters answered.
    Only(Vec<String>),
    /// A failure contains this text (`true`), or none does (`false`).
    Saw(String, bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Failed requests of the whole run.
    Failed,
    /// Failed requests since the fault.
    Lost,
    /// Slow answers since the fault.
    Slow,
    /// Answers of a later attempt.
    Retried,
    /// A cluster's share of the answers.
    Share(String),
    /// The number of pods of a cluster that answered.
    Pods(String),
    /// A field of the report's `failover`.
    Time(&'static str),
    /// A latency of the slowest backend.
    Latency(&'static str),
    /// In points.
    Overshoot,
    /// The sum of an Envoy's statistics whose names end with `name`.
    Counter {
        /// The Envoy's process, such as `kops/client sidecar`.
        envoy: String,
        name: String,
    },
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Percent,
    Seconds,
}

const TIMES: [(&str, &str); 3] =
    [("detect", "detect_us"), ("failover", "failover_us"), ("failback", "failback_us")];
const LATENCIES: [(&str, &str); 3] = [("p50", "p50_us"), ("p99", "p99_us"), ("max", "max_us")];

impl Expect {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let made = |what| Ok(Self { text: text.to_owned(), what });
        let words: Vec<_> = text.split_whitespace().collect();
        match words.as_slice() {
            ["only", names] => {
                return made(What::Only(names.split(',').map(str::to_owned).collect()));
            }
            ["saw", ..] if words.len() > 1 => {
                return made(What::Saw(words[1..].join(" "), true));
            }
            ["not", "saw", ..] if words.len() > 2 => {
                return made(What::Saw(words[2..].join(" "), false));
            }
            _ => {}
        }
        let (metric, rest) = metric(&words)?;
        match rest {
            ["never"] if matches!(metric, Metric::Time(_)) => made(What::Never(metric)),
            [range] => {
                let (low, high) = range.split_once("..").ok_or("write LOW..HIGH")?;
                let (low, high) = (number(low)?, number(high)?);
                if low.1 != high.1 || low.0 > high.0 {
                    return Err("the bounds must have the same unit, the lower one first".into());
                }
                let percent = fits(&metric, low.1)?;
                made(What::Between { metric, percent, low: low.0, high: high.0 })
            }
            [sign, value] => {
                let (value, unit) = number(value)?;
                // "Below" means up to the next smaller floating-point number.
                let (low, high) = match *sign {
                    "<" => (f64::NEG_INFINITY, value.next_down()),
                    "<=" => (f64::NEG_INFINITY, value),
                    ">" => (value.next_up(), f64::INFINITY),
                    ">=" => (value, f64::INFINITY),
                    "=" => (value, value),
                    _ => return Err(format!("unknown operator '{sign}'; use <, <=, >, >= or =")),
                };
                let percent = fits(&metric, unit)?;
                made(What::Between { metric, percent, low, high })
            }
            _ => {
                Err("write METRIC <= VALUE, METRIC LOW..HIGH, only NAMES, saw TEXT or not saw TEXT"
                    .into())
            }
        }
    }

    /// Checks the report of a run. `counter` returns the sum of an Envoy's statistics.
    ///
    /// # Errors
    /// What was seen instead.
    pub fn judge(
        &self,
        row: &Value,
        counter: &dyn Fn(&str, &str) -> Option<f64>,
    ) -> Result<(), String> {
        match &self.what {
            What::Only(names) => {
                let seen = clusters(row);
                let all = names.iter().all(|name| seen.iter().any(|(seen, _)| seen == name));
                let mut others = seen.iter().filter(|(seen, _)| !names.contains(seen));
                if all && others.next().is_none() {
                    return Ok(());
                }
                let seen: Vec<_> =
                    seen.iter().map(|(name, answers)| format!("{name} {answers}")).collect();
                Err(format!("answers: {}", seen.join(", ")))
            }
            What::Saw(text, wanted) => {
                let said: Vec<_> = array(&row["failures"])
                    .iter()
                    .map(|f| format!("{}: {}", word(&f["kind"]), word(&f["what"])))
                    .collect();
                match said.iter().any(|line| line.contains(text.as_str())) == *wanted {
                    true => Ok(()),
                    false => Err(format!("failures: {}", said.join("; "))),
                }
            }
            What::Never(metric) => match measured(metric, row, counter) {
                None => Ok(()),
                Some(value) => Err(format!("{value:.3} s")),
            },
            What::Between { metric, percent, low, high } => {
                let Some(value) = measured(metric, row, counter) else {
                    return Err("never, or not measured".into());
                };
                let requests = row["requests"].as_f64().unwrap_or(0.0);
                let part = *percent && !matches!(metric, Metric::Share(_));
                let value = if part { 100.0 * value / requests.max(1.0) } else { value };
                match (*low..=*high).contains(&value) {
                    true => Ok(()),
                    false => Err(format!("{value:.3}")),
                }
            }
        }
    }
}

/// The metric at the start of the words, and the words after it.
fn metric<'a>(words: &'a [&'a str]) -> Result<(Metric, &'a [&'a str]), String> {
    let named = |table: &[(&str, &'static str)], word: &str| {
        table.iter().find(|(name, _)| *name == word).map(|(_, field)| *field)
    };
    Ok(match words {
        ["failed", rest @ ..] => (Metric::Failed, rest),
        ["lost", rest @ ..] => (Metric::Lost, rest),
        ["slow", rest @ ..] => (Metric::Slow, rest),
        ["retried", rest @ ..] => (Metric::Retried, rest),
        ["overshoot", rest @ ..] => (Metric::Overshoot, rest),
        ["share", name, rest @ ..] => (Metric::Share((*name).to_owned()), rest),
        ["pods", name, rest @ ..] => (Metric::Pods((*name).to_owned()), rest),
        ["counter", envoy, name, rest @ ..] => {
            // The name of a process is kops/client sidecar, its path kops/client/sidecar.
            let mut parts = envoy.splitn(3, '/');
            let pod: Vec<_> = parts.by_ref().take(2).collect();
            let process = parts.next().map(|part| format!(" {part}")).unwrap_or_default();
            let envoy = format!("{}{process}", pod.join("/"));
            (Metric::Counter { envoy, name: (*name).to_owned() }, rest)
        }
        [word, rest @ ..] => match (named(&TIMES, word), named(&LATENCIES, word)) {
            (Some(field), _) => (Metric::Time(field), rest),
            (_, Some(field)) => (Metric::Latency(field), rest),
            _ => return Err(format!("unknown metric '{word}'")),
        },
        [] => return Err("the expectation is empty".into()),
    })
}

/// A number and its unit.
fn number(text: &str) -> Result<(f64, Unit), String> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, Unit::Percent),
        None => (text, Unit::Count),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok((number, unit)),
        Err(_) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            let time = duration::parse(text).map_err(|why| format!("'{text}': {why}"))?;
            Ok((time.as_secs_f64(), Unit::Seconds))
        }
        _ => Err(format!("'{text}' is not a number")),
    }
}

/// Checks the unit of a metric. Returns whether it is percent.
fn fits(metric: &Metric, unit: Unit) -> Result<bool, String> {
    let right: &[Unit] = match metric {
        Metric::Time(_) | Metric::Latency(_) => &[Unit::Seconds],
        Metric::Share(_) => &[Unit::Percent],
        Metric::Failed | Metric::Lost | Metric::Slow | Metric::Retried => {
            &[Unit::Count, Unit::Percent]
        }
        Metric::Pods(_) | Metric::Overshoot | Metric::Counter { .. } => &[Unit::Count],
    };
    match right.contains(&unit) {
        true => Ok(unit == Unit::Percent),
        false => Err("the value has the wrong unit for this metric".into()),
    }
}

/// The value of a metric in counts, seconds or percent; `None` for a time that does not end.
fn measured(
    metric: &Metric,
    row: &Value,
    counter: &dyn Fn(&str, &str) -> Option<f64>,
) -> Option<f64> {
    let failover = &row["failover"];
    match metric {
        Metric::Failed => row["failed"].as_f64(),
        Metric::Retried => row["retried"].as_f64(),
        Metric::Lost => failover["lost"].as_f64(),
        Metric::Slow => failover["slow"].as_f64(),
        Metric::Overshoot => failover["overshoot"].as_f64(),
        Metric::Time(field) => Some(failover[field].as_f64()? / 1e6),
        Metric::Latency(field) => {
            let all = array(&row["backends"]).iter();
            let slowest = all.filter_map(|b| b["latency"][field].as_f64()).reduce(f64::max);
            Some(slowest? / 1e6)
        }
        Metric::Share(name) => {
            let all = clusters(row);
            let sum: u64 = all.iter().map(|(_, answers)| answers).sum();
            let own = all.iter().find(|(seen, _)| seen == name).map_or(0, |(_, answers)| *answers);
            Some(100.0 * own as f64 / sum.max(1) as f64)
        }
        Metric::Pods(name) => {
            let all = array(&row["backends"]).iter();
            Some(all.filter(|backend| word(&backend["cluster"]) == *name).count() as f64)
        }
        Metric::Counter { envoy, name } => counter(envoy, name),
    }
}

/// The clusters that answered, with the number of answers.
fn clusters(row: &Value) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = Vec::new();
    for backend in array(&row["backends"]) {
        let name = word(&backend["cluster"]);
        let answers = backend["answers"].as_u64().unwrap_or(0);
        match all.iter_mut().find(|(seen, _)| seen == name) {
            Some((_, sum)) => *sum += answers,
            None => all.push((name.to_owned(), answers)),
        }
    }
    all
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(text: &str) -> Result<(), String> {
        let row = json!({
            "requests": 200, "failed": 20, "retried": 7,
            "backends": [
                { "cluster": "kops", "answers": 100, "latency": { "p50_us": 900, "max_us": 2000 } },
                { "cluster": "gke1", "answers": 50, "latency": { "p50_us": 1500, "max_us": 9000 } },
                { "cluster": "gke1", "answers": 30, "latency": { "p50_us": 100, "max_us": 100 } },
            ],
            "failures": [{ "kind": "status", "what": "503: no healthy upstream", "count": 20 }],
            "failover": { "lost": 12, "slow": 0, "detect_us": 4000, "failover_us": 1_500_000 },
        });
        let counter = |envoy: &str, name: &str| {
            (envoy == "kops/client sidecar" && name == "ssl.fail").then_some(3.0)
        };
        Expect::parse(text).unwrap().judge(&row, &counter)
    }

    #[test]
    fn each_form_holds_and_fails() {
        for (holds, fails) in [
            ("failed = 20", "failed < 20"),
            ("failed 10%..10%", "failed > 10%"),
            ("lost <= 12", "lost <= 11"),
            ("lost <= 6%", "lost < 6%"),
            ("retried > 0", "retried > 7"),
            ("slow = 0", "slow >= 1"),
            ("share kops 55%..56%", "share eks1 > 0%"),
            ("pods gke1 = 2", "pods kops = 2"),
            ("detect < 5ms", "detect < 4ms"),
            ("failover < 1.6s", "failover < 1.5s"),
            ("failback never", "failover never"),
            ("detect >= 4ms", "failback < 60s"),
            ("p50 1.5ms..2ms", "p50 < 1ms"),
            ("max <= 9ms", "max < 9ms"),
            ("only kops,gke1", "only kops"),
            ("saw no healthy upstream", "saw reset"),
            ("not saw reset", "not saw status"),
            ("counter kops/client/sidecar ssl.fail = 3", "counter gke1/x ssl.fail > 0"),
        ] {
            assert_eq!(judge(holds), Ok(()), "{holds}");
            assert!(judge(fails).is_err(), "{fails}");
        }
        assert!(judge("only kops,gke1,eks1").is_err(), "eks1 did not answer");
        assert_eq!(judge("only kops").unwrap_err(), "answers: kops 100, gke1 80");
    }

    #[test]
    fn an_invalid_expectation_is_refused() {
        for (text, part) in [
            ("", "the expectation is empty"),
            ("lots < 3", "unknown metric 'lots'"),
            ("lost", "write METRIC"),
            ("lost < many", "'many' is not a number"),
            ("lost < -1", "'-1' is not a number"),
            ("lost ~ 3", "unknown operator"),
            ("lost < 3s", "wrong unit"),
            ("failover < 3", "wrong unit"),
            ("share kops > 3", "wrong unit"),
            ("failed 5..4", "the same unit"),
            ("failed 5%..6", "the same unit"),
            ("failed 5", "LOW..HIGH"),
            ("lost never", "LOW..HIGH"),
        ] {
            let said = Expect::parse(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
