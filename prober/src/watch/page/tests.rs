//! The page shows the window, and no remote text becomes markup.

use aws_lc_rs::digest;
use base64::Engine as _;

use super::super::state::Ended;
use super::*;
use crate::matrix::file;
use crate::report::rounds::Rhythm;
use crate::report::samples;

fn state(place: usize) -> State {
    watched(samples::matrix().rows[place].tally().cloned().ok_or("<no> pod".to_owned()))
}

/// The state after one round.
fn watched(probed: Result<Tally, String>) -> State {
    let text = "clusters: [kops, gke1]\ntargets: [{url: 'a/<b>', requests: 100, min-share: 0.13, \
                expect: ['errors = 0', 'exactly kops,gke1']}]\n";
    let matrix = file::parse("m.yaml", text, &file::Overrides::default()).unwrap();
    let rhythm = Rhythm { interval: Duration::from_secs(10), window: Duration::from_secs(300) };
    let mut state = State::new(matrix, rhythm, SystemTime::UNIX_EPOCH);
    let took = Duration::from_millis(131);
    state.add(0, Ended { at: took, ended: SystemTime::UNIX_EPOCH, took, probed });
    state
}

fn page(state: &State) -> String {
    render(state, SystemTime::UNIX_EPOCH + Duration::from_secs(7))
}

#[test]
fn the_window() {
    let page = page(&state(1));
    let (_, body) = page.split_once("<main>").unwrap();
    let (body, _) = body.split_once("</main>").unwrap();
    insta::assert_snapshot!(body.replace("><", ">\n<"));
}

#[test]
fn a_source_that_cannot_probe_is_reported() {
    let page = page(&state(3));
    assert!(page.contains("The source cannot probe: <bdi>&lt;no&gt; pod</bdi>"), "{page}");
    assert!(page.contains("<title>FAIL – prober watch</title>"), "{page}");
}

#[test]
fn the_policy_allows_this_script_and_no_other() {
    let hash = digest::digest(&digest::SHA256, SCRIPT.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash.as_ref());
    assert!(POLICY.contains(&format!("script-src 'sha256-{hash}'")), "it is {hash}");
    assert!(!SCRIPT.contains("</"), "it would end there");
}

#[test]
fn no_remote_text_becomes_markup() {
    let mut tally = samples::matrix().rows[1].tally().cloned().unwrap();
    let evil = "<script>\"'&\u{1b}\u{202e}";
    let (_, counted) = tally.backends.pop_first().unwrap();
    tally.backends.insert(echo_reply::Identity::new(evil, evil), counted);
    tally.failures.iter_mut().for_each(|group| group.what = evil.to_owned());
    let page = page(&watched(Ok(tally)));
    let shown = "<bdi>&lt;script&gt;&quot;'&amp;\\u{1b}\\u{202e}</bdi>";
    assert!(page.matches(shown).count() >= 4, "cluster, pod and failures: {page}");
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own: {page}");
    assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page}");
}
