//! Golden lines of progress. `INSTA_UPDATE=always` rewrites them.

use unicode_width::UnicodeWidthStr as _;

use super::*;

const PLAIN: Style = Style::PLAIN;

fn counted(ms: u64, failed: u64, some: &[u64]) -> Counted {
    let mut answers = [0; SLOTS];
    answers[..some.len()].copy_from_slice(some);
    Counted { at: Duration::from_millis(ms), rows: 0, failed, answers }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn shown(view: &View<'_>) -> String {
    let beside = view.beside_bar().unwrap_or_else(|| "no bar".to_owned());
    let below = view.below_bar(80, PLAIN).join("\n");
    format!("beside the bar: {beside}\n{below}\n-- as a line --\n{}", view.plain())
}

#[test]
fn a_run_that_requests_end() {
    let clusters = names(&["kops", "gke1-europe"]);
    let goal = Goal { requests: Some(5000), ..Goal::default() };
    let (whole, lately) = (counted(3000, 12, &[700, 522]), counted(1000, 4, &[402, 410]));
    let view = View { clusters: &clusters, goal, whole, lately };
    insta::assert_snapshot!(shown(&view));
}

#[test]
fn a_run_that_time_ends_and_where_one_cluster_went_away() {
    let clusters = names(&["kops", "gke1"]);
    let goal = Goal { time: Some(Duration::from_secs(200)), ..Goal::default() };
    let (whole, lately) = (counted(70_400, 0, &[700, 522]), counted(1000, 0, &[7, 0]));
    let view = View { clusters: &clusters, goal, whole, lately };
    insta::assert_snapshot!(shown(&view));
}

#[test]
fn a_matrix_and_more_clusters_than_are_told_apart() {
    let clusters = names(&["a", "b", "c", "d", "e", "f", "g", "h", "unseen"]);
    let goal = Goal { rows: Some(8), requests: Some(800), ..Goal::default() };
    let mut whole = counted(2000, 0, &[10, 10, 10, 10, 10, 10, 10, 10, 20]);
    whole.rows = 3;
    let lately = counted(2000, 0, &[10, 10, 10, 10, 10, 10, 10, 10, 20]);
    let view = View { clusters: &clusters, goal, whole, lately };
    insta::assert_snapshot!(shown(&view));
}

#[test]
fn nothing_yet() {
    let view = View {
        clusters: &[],
        goal: Goal { requests: Some(1), ..Goal::default() },
        whole: counted(300, 0, &[]),
        lately: counted(300, 0, &[]),
    };
    insta::assert_snapshot!(shown(&view));
}

#[test]
fn a_run_whose_end_is_not_known_has_no_bar() {
    let clusters = names(&["kops"]);
    let (whole, lately) = (counted(3000, 0, &[7000]), counted(1000, 0, &[2500]));
    let view = View { clusters: &clusters, goal: Goal::default(), whole, lately };
    insta::assert_snapshot!(shown(&view));
}

#[test]
fn what_is_done_is_a_part_of_requests_or_of_time_or_of_rows() {
    let done = |requests, seconds: Option<u64>, rows| {
        let goal = Goal { requests, time: seconds.map(Duration::from_secs), rows };
        let mut whole = counted(3000, 20, &[30, 50]);
        whole.rows = 3;
        View { clusters: &[], goal, whole, lately: Counted::default() }.done()
    };
    assert_eq!(done(Some(200), None, None), Some(0.5));
    assert_eq!(done(None, Some(12), None), Some(0.25));
    assert_eq!(done(None, None, Some(4)), Some(0.75));
    assert_eq!(done(Some(400), None, Some(4)), Some(0.25), "requests are finer than rows");
    assert_eq!(done(Some(99), None, None), Some(1.0), "never more than all");
    assert_eq!(done(Some(0), None, None), Some(1.0));
    assert_eq!(done(None, None, None), None);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let clusters = names(&["クラスタ", "kops"]);
    let goal = Goal { requests: Some(u64::MAX), ..Goal::default() };
    let (whole, lately) = (counted(3000, 7, &[70, 5]), counted(1000, 1, &[40, 2]));
    let view = View { clusters: &clusters, goal, whole, lately };
    for columns in 0..120 {
        for line in view.below_bar(columns, PLAIN) {
            assert!(line.width() <= columns, "{columns}: {line:?}");
        }
    }
}

#[test]
fn failures_are_red_and_colour_only_adds_codes() {
    let goal = Goal::default();
    let view = |failed| View {
        clusters: &[],
        goal,
        whole: counted(1000, failed, &[3]),
        lately: counted(1000, 0, &[3]),
    };
    let color = Style { color: true, ..PLAIN };
    let colored = view(2).below_bar(80, color).join("\n");
    assert!(colored.contains("\u{1b}[31m2 failed\u{1b}[0m"), "{colored:?}");
    let bare = colored.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
    assert_eq!(bare, view(2).below_bar(80, PLAIN).join("\n"));
    assert_eq!(view(0).below_bar(80, color), view(0).below_bar(80, PLAIN));
}

#[test]
fn shares_cover_the_last_second() {
    let mut history = History::default();
    // 200/s to one cluster, then to the other.
    for tenth in 1..=30 {
        history.lately(&counted(100 * tenth, 0, &[20 * tenth]));
    }
    let mut lately = Counted::default();
    for tenth in 1..=10 {
        lately = history.lately(&counted(3000 + 100 * tenth, 0, &[600, 20 * tenth]));
    }
    assert_eq!(lately, counted(1000, 0, &[0, 200]), "only the last second");
}

#[test]
fn few_answers_are_gathered_for_up_to_ten_seconds() {
    let mut history = History::default();
    let mut lately = Counted::default();
    for second in 1..=60 {
        lately = history.lately(&counted(1000 * second, 0, &[5 * second]));
    }
    assert_eq!(lately, counted(10_000, 0, &[50]), "too slow for 100 answers");
    let mut history = History::default();
    for second in 1..=60 {
        lately = history.lately(&counted(1000 * second, 0, &[30 * second]));
    }
    assert_eq!(lately, counted(4000, 0, &[120]), "the shortest time with 100 answers");
}

#[test]
fn time_left_in_words() {
    let left = |seconds| shown_left(Duration::from_secs_f64(seconds));
    assert_eq!(
        [0.0, 0.2, 59.9, 125.0, 3600.0].map(left),
        ["0 s", "1 s", "1 min 0 s", "2 min 5 s", "1 h 0 min"]
    );
}
