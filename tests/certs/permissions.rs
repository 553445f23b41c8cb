//! Keys that others could read or replace: refused before anything is made, with the command that
//! corrects it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{ID, Room};

impl Room {
    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("ours");
    }
}

#[test]
fn a_key_that_others_can_use_is_refused_until_its_mode_is_right() {
    let room = Room::with(&["kops"]);
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601, 0o666] {
        room.chmod("out/kops/ca-key.pem", mode);
        let line = format!(
            "out/kops/ca-key.pem is a private key that others may use (mode {mode:04o}); run chmod \
             600 out/kops/ca-key.pem"
        );
        let parts = [line.as_str()];
        room.refuses(|| room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]), &parts);
        room.refuses(|| room.generate(&["kops"], &[]), &parts);
        room.refuses(|| room.generate(&["kops", "gke1"], &[]), &parts);
        assert!(!room.path("me").exists(), "nothing was made");
    }
    for mode in [0o600, 0o400] {
        room.chmod("out/kops/ca-key.pem", mode);
        room.generate(&["kops"], &[]).done();
    }
}

#[test]
fn the_key_of_the_root_is_checked_even_if_it_is_not_needed() {
    let room = Room::with(&["kops"]);
    room.chmod("out/root-key.pem", 0o644);
    let parts = ["chmod 600 out/root-key.pem"];
    room.refuses(|| room.generate(&["kops"], &[]), &parts);
    room.refuses(|| room.generate(&["kops", "gke1"], &[]), &parts);
    // New keys have the right mode.
    room.generate(&["kops"], &["--force"]).done();
    assert_eq!(super::mode(&room.path("out/root-key.pem")), 0o600);
    // The root key may be kept elsewhere.
    room.remove("out/root-key.pem");
    room.generate(&["kops"], &[]).done();
}

#[test]
fn a_folder_in_which_everybody_can_replace_a_key_is_refused() {
    let room = Room::with(&["kops"]);
    room.chmod("out/kops", 0o777);
    let line = "everybody can replace the keys in ";
    room.refuses(
        || room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]),
        &[line, "out/kops (mode 0777); run chmod o-w "],
    );
    room.chmod("out/kops", 0o1777);
    room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]).done();
    room.chmod("out/kops", 0o775);
    room.generate(&["kops"], &[]).done();
    fs::create_dir(room.path("open")).expect("made");
    room.chmod("open", 0o777);
    room.certs(&["generate", "--out", "open", "--cluster", "a", "--key", "ecdsa-p256"])
        .refused(&[line, "open (mode 0777); run chmod o-w "]);
    assert_eq!(fs::read_dir(room.path("open")).expect("there").count(), 0);
    room.chmod("me", 0o757);
    room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]).refused(&[line, "me (mode"]);
}

#[test]
fn a_folder_above_in_which_everybody_can_replace_others_is_refused() {
    let room = Room::with(&["kops"]);
    let me = || room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]);
    room.chmod("out", 0o777);
    let line = "everybody can replace the keys in ";
    room.refuses(me, &[line, "out (mode 0777); run chmod o-w "]);
    room.refuses(|| room.generate(&["kops"], &[]), &[line, "out (mode 0777)"]);
    room.chmod("out", 0o1777);
    me().done();
    room.chmod("out", 0o755);
    // A link that everybody can replace, and one behind it.
    for folder in ["open", "closed"] {
        fs::create_dir(room.path(folder)).expect("made");
    }
    symlink(room.path("out"), room.path("open/out")).expect("a link");
    symlink("../open/out", room.path("closed/out")).expect("a link");
    let behind = || room.workload(&["--ca", "closed/out/kops", "--out", "me", "--id", ID]);
    behind().done();
    room.chmod("open", 0o777);
    room.refuses(behind, &[line, "open (mode 0777)"]);
    // New folders are made in those that are checked, too.
    room.certs(&["generate", "--out", "open/a/b", "--cluster", "a", "--key", "ecdsa-p256"])
        .refused(&[line, "open (mode 0777)"]);
    assert!(!room.path("open/a").exists(), "nothing was made");
    symlink("closed/loop", room.path("closed/loop")).expect("a link");
    room.workload(&["--ca", "closed/loop", "--out", "me", "--id", ID]).refused(&["closed/loop"]);
}

#[test]
fn links_are_followed_and_only_files_of_a_sensible_size_are_read() {
    let room = Room::with(&["kops"]);
    let key = room.path("out/kops/ca-key.pem");
    fs::rename(&key, room.path("elsewhere.pem")).expect("moves");
    symlink(room.path("elsewhere.pem"), &key).expect("a link");
    room.generate(&["kops"], &[]).done();
    room.chmod("elsewhere.pem", 0o644);
    room.refuses(|| room.generate(&["kops"], &[]), &["chmod 600 out/kops/ca-key.pem"]);
    for other in ["/dev/zero", "/dev/null", "/"] {
        fs::remove_file(&key).expect("the link");
        symlink(other, &key).expect("a link");
        room.generate(&["kops"], &[]).refused(&["out/kops/ca-key.pem is not a file"]);
    }
    room.certs(&["show", "/dev/zero"]).refused(&["/dev/zero is longer than 4 MiB"]);
}
