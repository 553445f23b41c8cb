//! The version; for a release also its commit and the day of the commit, so that the same sources
//! give the same bytes. Pure.

use std::sync::LazyLock;

use time::OffsetDateTime;
use time::macros::format_description;

/// Such as `0.1.0 (0123456789ab, 2026-11-24)`. A release build takes the commit from the git checkout
/// or `PROBER_COMMIT`, and the day from `SOURCE_DATE_EPOCH` or the commit.
#[must_use]
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let built = [option_env!("PROBER_COMMIT"), option_env!("PROBER_EPOCH")];
        describe(env!("CARGO_PKG_VERSION"), built[0], built[1])
    });
    &TEXT
}

fn describe(version: &str, commit: Option<&str>, epoch: Option<&str>) -> String {
    let day = epoch.and_then(|epoch| {
        let built = OffsetDateTime::from_unix_timestamp(epoch.parse().ok()?).ok()?;
        built.format(format_description!("[year]-[month]-[day]")).ok()
    });
    let commit = commit.filter(|commit| !commit.is_empty()).map(str::to_owned);
    let known: Vec<_> = commit.into_iter().chain(day).collect();
    match known.as_slice() {
        [] => version.to_owned(),
        known => format!("{version} ({})", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said() {
        let epoch = Some("1795000000");
        assert_eq!(describe("1.2.3", Some("abc"), epoch), "1.2.3 (abc, 2026-11-18)");
        assert_eq!(describe("1.2.3", None, epoch), "1.2.3 (2026-11-18)");
        assert_eq!(describe("1.2.3", Some("abc"), None), "1.2.3 (abc)");
        assert_eq!(describe("1.2.3", Some(""), Some("yesterday")), "1.2.3");
        assert!(text().starts_with(env!("CARGO_PKG_VERSION")));
    }
}
