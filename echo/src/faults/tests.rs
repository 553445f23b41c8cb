//! Tests of `faults`.

use super::*;
use axum::http::Request;
use proptest::prelude::*;

fn head(query: &str, headers: &[&str]) -> Parts {
    let mut request = Request::get(format!("/path{query}"));
    for value in headers {
        request = request.header(HEADER, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn are(query: &str, headers: &[&str]) -> bool {
    let head = head(query, headers);
    are_asked(&head, &RequestHeaders::of(&head.headers))
}

fn of(query: &str) -> Faults {
    asked(&head(query, &[])).unwrap().unwrap()
}

fn refused(query: &str) -> String {
    asked(&head(query, &[])).unwrap_err().to_string()
}

#[test]
fn faults_are_read_from_query_and_header_alike() {
    let query = "?delay=100ms-2s&status=500:10,200:90&abort=body&drip=3s&size=7&close&unready=1m";
    let faults = Faults {
        delay: Some((Duration::from_millis(100), Duration::from_secs(2))),
        status: vec![(StatusCode::INTERNAL_SERVER_ERROR, 10), (StatusCode::OK, 90)],
        abort: Some(Abort::Body),
        drip: Some(Duration::from_secs(3)),
        size: Some(7),
        close: true,
        unready: Some(Duration::from_mins(1)),
    };
    assert_eq!(of(query), faults);
    assert_eq!(asked(&head("", &[&query[1..]])), Ok(Some(faults.clone())));
    assert_eq!(of(&query.replace(',', "%2C").replace(':', "%3a")), faults, "percent-encoded");
    let split = head("?delay=1s&other=x&sizes=1", &["abort=before", "close=true"]);
    let split = asked(&split).unwrap().unwrap();
    assert!(split.delay.is_some() && split.abort == Some(Abort::Before) && split.close);
}

#[test]
fn others_ask_for_nothing() {
    for query in ["", "?", "?a=b", "?Delay=1s", "?delayed=1s"] {
        assert_eq!(asked(&head(query, &[])), Ok(None), "{query}");
        assert!(!are(query, &[]), "{query}");
    }
    assert!(are("?delay=nonsense", &[]) && are("", &["x"]));
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    for bad in ["", "1x", "-1s", "2s-1s", "11m", "1s-", "x", "1s-2s-3s"] {
        let said = refused(&format!("?delay={bad}"));
        assert!(said.contains("delay") && said.contains("100ms-2s"), "{said}");
    }
    for bad in ["", "99", "199", "600", "abc", "500:", "500:-1", "500:0", "200,", "500:1:2"] {
        let said = refused(&format!("?status={bad}"));
        assert!(said.contains("status") && said.contains("500:10,200:90"), "{said}");
    }
    assert!(refused("?abort=after").ends_with("write before or body"));
    assert!(refused("?size=1073741825").contains("at most 1073741824"));
    assert!(refused("?size=-1").contains("number of bytes"));
    assert!(refused("?close=no").contains("close=true"));
    assert!(refused("?unready=2h").contains("at most 1h"));
    assert_eq!(refused("?size=1&size=2"), "the fault size is given twice; remove one");
    let said = asked(&head("", &["slow=1"])).unwrap_err().to_string();
    assert!(said.contains("\"slow\"") && said.contains("drip"), "{said}");
    assert_eq!(asked(&head("?close", &["close"])), Err(Refusal::Twice("close")));
}

#[test]
fn weights_are_kept_and_delays_lie_in_their_range() {
    let faults = of("?status=500:10,200:90&delay=100ms-200ms");
    let mut bad = 0;
    for number in 0..100_u64 {
        // The delay is drawn first, then the status.
        let drawn = faults.draw(|| number);
        bad += u32::from(drawn.status == Some(StatusCode::INTERNAL_SERVER_ERROR));
        let delay = faults.draw(|| number * 7919 * 7919).delay.unwrap();
        assert!((100..=200).contains(&delay.as_millis()), "{delay:?}");
    }
    assert_eq!(bad, 10);
    assert_eq!(of("?delay=1s").draw(|| 5).delay, Some(Duration::from_secs(1)));
    assert_eq!(of("?status=500:0,204:1").draw(|| 0).status, Some(StatusCode::NO_CONTENT));
}

#[test]
fn what_was_done_is_said() {
    let drawn = of("?delay=1s&status=503&abort=before&drip=2s&size=9&close&unready=3s").draw(|| 0);
    assert_eq!(
        drawn.said(),
        "delay=1000ms,status=503,abort=before,drip=2000ms,size=9,close,unready=3000ms"
    );
    assert_eq!(of("?close").draw(|| 0).said(), "close");
    assert!(drawn.fits_calls().is_err());
    assert!(of("?status=503&abort=before&close").draw(|| 0).fits_calls().is_ok());
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_unprintable_is_said(query in "[ -~]{0,60}", value in "[\\x20-\\x7e]{0,60}") {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let head = head(&format!("?{}&delay={encoded}", encoded.replace("%3D", "=")), &[&value]);
        match asked(&head) {
            Ok(faults) => drop(faults.map(|faults| faults.draw(|| u64::MAX).said())),
            Err(refusal) => prop_assert!(!refusal.to_string().contains(char::is_control)),
        }
    }
}
