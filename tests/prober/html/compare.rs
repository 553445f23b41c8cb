//! What a page shows beside what its report says, number by number, each as exactly as it is
//! shown; and whether it is well made.

use serde_json::Value;

/// That the page is well made for keyboards and screen readers.
#[track_caller]
pub(super) fn sound(name: &str, seen: &Value, rows: usize) {
    assert_eq!(seen["flaws"], Value::Array(vec![]), "{name}");
    let levels: Vec<_> = list(&seen["levels"]).iter().map(|level| level.as_u64()).collect();
    assert_eq!((levels[0], levels.iter().filter(|level| **level == Some(1)).count()), (Some(1), 1));
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0].map(|l| l + 1)), "{name}: {levels:?}");
    let nav = u64::from(rows > 1);
    assert_eq!(seen["landmarks"], serde_json::json!([1, 1, 1, nav]), "{name}");
    assert_eq!(list(&seen["contents"]).len(), if rows > 1 { rows } else { 0 });
}

/// That all numbers of the page are those of the report.
#[track_caller]
pub(super) fn same(name: &str, seen: &Value, json: &Value) {
    let held: Value = serde_json::from_str(text(&seen["json"])).expect("JSON in the page");
    assert_eq!(held, *json, "{name}");
    let word = text(&json["verdict"]).to_uppercase();
    assert!(text(&seen["title"]).starts_with(&word), "{name}: {}", seen["title"]);
    assert!(text(&seen["headline"]).contains(&word), "{name}: {}", seen["headline"]);
    let (rows, asked) = (list(&seen["rows"]), list(&json["rows"]));
    assert_eq!(rows.len(), asked.len(), "{name}");
    for (row, asked) in rows.iter().zip(asked) {
        assert!(text(&row["heading"]).contains(text(&asked["target"])), "{row}");
        match asked["unreachable"].as_str() {
            Some(reason) => assert!(text(&row["notice"]).ends_with(reason), "{row}"),
            None => same_row(row, asked),
        }
    }
    if asked.len() > 1 {
        same_matrix(&seen["matrix"], json);
    }
}

#[track_caller]
fn same_row(row: &Value, asked: &Value) {
    let facts = &row["facts"];
    for (term, key) in [
        ("Requests", "requests"),
        ("Answers", "answers"),
        ("Failed", "failed"),
        ("Connections", "connections"),
    ] {
        assert_eq!(number(&facts[term]), asked[key].as_f64(), "{term}: {facts}");
    }
    match retries_are_known(asked) {
        true => assert_eq!(number(&facts["Retried by the mesh"]), asked["retried"].as_f64()),
        false => assert_eq!(facts["Retried by the mesh"], "not reported"),
    }
    near(&facts["Duration"], asked["seconds"].as_f64().map(|s| s * 1e6));
    let verdicts = list(&asked["expectations"]);
    assert_eq!(list(&row["verdicts"]).len(), verdicts.len());
    for (shown, judged) in list(&row["verdicts"]).iter().zip(verdicts) {
        assert!(text(&shown[0]).ends_with(&text(&judged["verdict"]).to_uppercase()), "{shown}");
        assert_eq!((&shown[1], &shown[2]), (&judged["expectation"], &judged["reason"]));
    }
    same_backends(row, asked);
    same_failures(row, asked);
    if asked["timeline"].is_object() {
        same_timeline(row, asked);
    }
}

/// Whether an answer says which attempt it is.
fn retries_are_known(row: &Value) -> bool {
    let mut backends = list(&row["backends"]).iter();
    row["answers"] == 0 || backends.any(|backend| backend["attempts"] != 0)
}

#[track_caller]
fn same_backends(row: &Value, asked: &Value) {
    let (shown, backends) = (&row["tables"]["backends"], list(&asked["backends"]));
    assert_eq!(list(&shown["rows"]).len(), backends.len());
    assert_eq!(row["lines"].as_u64(), Some(backends.len() as u64), "a line of latencies for each");
    for backend in backends {
        let pod = text(&backend["pod"]).replace('\u{202e}', "U+202E");
        let line = list(&shown["rows"]).iter().find(|line| line[0] == pod.as_str());
        let line = line.unwrap_or_else(|| panic!("{pod} is missing: {shown}"));
        let cell = |head: &str| {
            let place = list(&shown["head"]).iter().position(|cell| cell == head).expect(head);
            &line[place]
        };
        assert_eq!(cell("Cluster"), &backend["cluster"]);
        assert_eq!(number(cell("Answers")), backend["answers"].as_f64());
        assert_eq!(number(cell("Conns")), backend["connections"].as_f64());
        percent(cell("Share"), backend["share"].as_f64());
        for (head, key) in
            [("p50", "p50_us"), ("p90", "p90_us"), ("p99", "p99_us"), ("max", "max_us")]
        {
            near(cell(head), backend["latency"][key].as_f64());
        }
    }
    for line in list(&row["tables"]["shares"]["rows"]) {
        let of = backends.iter().filter(|backend| backend["cluster"] == line[0]);
        let sum: f64 = of.clone().filter_map(|backend| backend["answers"].as_f64()).sum();
        assert_eq!(number(&line[1]), Some(sum), "{line}");
        let share: f64 = of.filter_map(|backend| backend["share"].as_f64()).sum();
        percent(&line[2], Some(share));
        let range = text(&line[3]).rsplit(' ').next().expect("a range");
        let (low, high) = range.trim_end_matches('%').split_once('–').expect("two ends");
        let ends = [low, high].map(|end| end.parse::<f64>().expect("a number") / 100.0);
        assert!(0.0 <= ends[0] && ends[0] < share && share <= ends[1] && ends[1] <= 1.0, "{line}");
        // Where some fail, the others answer in runs, which are worth less than as many answers.
        assert!(ends[1] - ends[0] < 0.5 || asked["failed"] != 0, "{line}");
    }
}

#[track_caller]
fn same_failures(row: &Value, asked: &Value) {
    let failures = list(&asked["failures"]);
    let Some(shown) = row["tables"].get("failures") else {
        assert!(failures.is_empty(), "{row}");
        return;
    };
    assert_eq!(list(&shown["rows"]).len(), failures.len());
    for failure in failures {
        let status = failure.get("status").filter(|_| failure["kind"] == "status");
        let status = status.map(|code| format!(" {code}")).unwrap_or_default();
        let class = format!("{}{status}", text(&failure["kind"]));
        let wanted = [class.as_str(), text(&failure["what"])];
        let line =
            list(&shown["rows"]).iter().find(|line| [text(&line[0]), text(&line[3])] == wanted);
        let line = line.unwrap_or_else(|| panic!("{failure} is missing: {shown}"));
        assert_eq!(number(&line[1]), failure["count"].as_f64());
    }
}

#[track_caller]
fn same_timeline(row: &Value, asked: &Value) {
    let (shown, timeline) = (&row["tables"]["timeline"], &asked["timeline"]);
    let sum = |values: &Value| list(values).iter().filter_map(Value::as_f64).sum::<f64>();
    let column = |head: &str| {
        let place = list(&shown["head"]).iter().position(|cell| cell == head).expect(head);
        list(&shown["rows"]).iter().filter_map(|line| number(&line[place])).sum::<f64>()
    };
    for backend in list(&timeline["backends"]) {
        assert_eq!(column(text(&backend["cluster"])), sum(&backend["answers"]));
    }
    let failures = timeline["failures"].as_object().expect("by kind");
    assert_eq!(column("Failed"), failures.values().map(sum).sum::<f64>());
    let events = list(&asked["events"]);
    assert_eq!(row["marks"].as_u64(), Some(events.len() as u64), "each event is marked");
    for (said, event) in list(&row["events"]).iter().zip(events) {
        assert!(text(said).contains(text(&event["command"])), "{said}");
    }
    assert!(row["events"][2].as_str().is_some_and(|said| said.contains("failed with exit code 3")));
    let (facts, times) = (&row["survived"], &asked["failover"]);
    assert_eq!(number(&facts["Lost"]), times["lost"].as_f64());
    for (term, key, none) in [
        ("First sign", "detect_us", "none"),
        ("Failover", "failover_us", "never"),
        ("Failback", "failback_us", "never"),
    ] {
        match times[key].as_f64() {
            None => assert_eq!(facts[term], none),
            some => near(&facts[term], some),
        }
    }
}

#[track_caller]
fn same_matrix(shown: &Value, json: &Value) {
    for (line, asked) in list(&shown["rows"]).iter().zip(list(&json["rows"])) {
        assert!(text(&line[0]).contains(text(&asked["target"])), "{line}");
        assert!(text(&line[1]).ends_with(&text(&asked["verdict"]).to_uppercase()), "{line}");
        if asked["unreachable"].is_string() {
            assert_eq!(line[2], "not probed");
            continue;
        }
        for (place, cluster) in list(&json["clusters"]).iter().enumerate() {
            let of =
                list(&asked["backends"]).iter().filter(|backend| backend["cluster"] == *cluster);
            let share: f64 = of.filter_map(|backend| backend["share"].as_f64()).sum();
            assert_eq!(shown["head"][place + 2], *cluster);
            match share {
                0.0 => assert_eq!(line[place + 2], "–"),
                share => percent(&line[place + 2], Some(share)),
            }
        }
        assert_eq!(number(&line[4]), asked["failed"].as_f64());
        match retries_are_known(asked) {
            true => assert_eq!(number(&line[5]), asked["retried"].as_f64()),
            false => assert_eq!(line[5], "–"),
        }
    }
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(shown: &Value) -> Option<f64> {
    text(shown).parse().ok()
}

/// That `50.3%` is this share, as exactly as it is shown.
#[track_caller]
fn percent(shown: &Value, share: Option<f64>) {
    let shown: f64 = text(shown).trim_end_matches('%').parse().expect("a percentage");
    assert!((shown / 100.0 - share.expect("a share")).abs() <= 0.000_501, "{shown} {share:?}");
}

/// That `1.21 ms` is this time in µs, as exactly as it is shown.
#[track_caller]
fn near(shown: &Value, us: Option<f64>) {
    let (value, unit) = text(shown).split_once(' ').expect("a number and a unit");
    let factor = match unit {
        "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        other => panic!("no unit: {other}"),
    };
    let (shown, us) = (value.parse::<f64>().expect("a number") * factor, us.expect("a time"));
    assert!((shown - us).abs() <= 0.006 * us + 0.5, "{shown} µs is not {us} µs");
}
