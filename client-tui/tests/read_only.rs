//! Stories of disks that can only be read: each program says in one line what is the matter and in
//! one what to do, and nothing is lost.
//!
//! The disks are real: mounts in a namespace of the story's own, which only root may make. Elsewhere
//! a story says that it was not played.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::town::{Ran, Town};

/// Set in the process that plays the story.
const IS_INSIDE: &str = "MATHIA_TEST_PRIVATE_MOUNTS";
const SIGABRT: i32 = 6;

/// Plays a story where what it mounts is seen by nobody else and goes with its process.
fn with_private_mounts(test: &str, story: impl FnOnce()) {
    if std::env::var_os(IS_INSIDE).is_some() {
        return story();
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut private = Command::new("unshare");
    private.args(["--mount", "--propagation", "private"]);
    let probe = private.args(["mount", "-t", "tmpfs", "none"]).arg(scratch.path()).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return is_not_played(test, "mounts of its own need root");
    }
    let played = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("read_only::{test}"), "--nocapture"])
        .env(IS_INSIDE, "1")
        .status();
    assert!(played.unwrap().success());
}

#[expect(clippy::print_stderr, reason = "what was not tested must be seen")]
fn is_not_played(story: &str, why: &str) {
    eprintln!("NOTE: {why} here: {story} is NOT played in this run");
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

/// Makes a directory read-only by a mount over itself.
fn make_read_only(dir: &Path) {
    let dir = dir.to_str().unwrap();
    assert!(runs("mount", &["--bind", dir, dir]));
    assert!(runs("mount", &["-o", "remount,ro,bind", dir]));
}

fn make_writable(dir: &Path) {
    assert!(runs("umount", &[dir.to_str().unwrap()]));
}

/// A disk of its own in a file.
struct Disk {
    image: PathBuf,
    dir: PathBuf,
}

impl Disk {
    /// Makes and mounts it; `None` where there are no such disks.
    fn mount(dir: &Path) -> Option<Self> {
        let (image, dir) = (dir.with_file_name("disk"), dir.to_owned());
        fs::File::create(&image).unwrap().set_len(64 * 1024 * 1024).unwrap();
        let disk = Self { image, dir };
        let is_there = runs("mkfs.ext4", &["-q", disk.image.to_str().unwrap()]) && disk.mounts();
        is_there.then_some(disk)
    }

    fn mounts(&self) -> bool {
        runs("mount", &["-o", "loop", self.image.to_str().unwrap(), self.dir.to_str().unwrap()])
    }

    /// It fails as a broken disk does: from now on the system only reads from it.
    fn breaks(&self) {
        assert!(runs("mount", &["-o", "remount,abort", self.dir.to_str().unwrap()]));
    }

    fn is_mended(&self) {
        make_writable(&self.dir);
        let image = self.image.to_str().unwrap();
        let checked = Command::new("e2fsck").args(["-fp", image]).output().unwrap().status;
        assert!(matches!(checked.code(), Some(0 | 1)), "the disk cannot be mended: {checked}");
        assert!(self.mounts());
    }
}

/// One line says what is the matter, one what to do, and no more is said.
#[track_caller]
fn says_that_it_is_read_only(ran: Ran) {
    let ran = ran.ends_with(1);
    assert_eq!(ran.out, "");
    let lines: Vec<&str> = ran.err.lines().collect();
    let [error, hint] = lines.as_slice() else { panic!("{ran:#?}") };
    assert!(error.starts_with("error: ") && hint.starts_with("hint: "), "{ran:#?}");
    let cause = error.to_lowercase();
    assert!(cause.contains("read-only") && hint.contains("writable"), "{ran:#?}");
}

#[test]
fn a_server_on_a_read_only_disk_does_not_start_and_says_why() {
    with_private_mounts("a_server_on_a_read_only_disk_does_not_start_and_says_why", || {
        let mut town = Town::start();
        let people = town.team(&["ann", "bob"]);
        people[0].says("team", "before");
        town.kill_server();
        make_read_only(&town.server_data());
        says_that_it_is_read_only(town.fails_to_serve());
        let copy = town.server_data().with_file_name("copy");
        for command in [
            &["status"][..],
            &["invite"],
            &["user", "list"],
            &["rotate-keys"],
            &["backup", copy.to_str().unwrap()],
        ] {
            says_that_it_is_read_only(town.operates(command));
        }
        assert!(!copy.exists());

        make_writable(&town.server_data());
        town.start_server();
        assert_eq!(people[1].texts("team"), ["before"]);
        people[1].says("team", "and after");
        assert_eq!(people[0].texts("team"), ["before", "and after"]);
    });
}

#[test]
fn a_server_whose_disk_turns_read_only_ends_and_has_lost_nothing() {
    with_private_mounts("a_server_whose_disk_turns_read_only_ends_and_has_lost_nothing", || {
        let mut disk = None;
        let mut town = Town::start_in(|data| disk = Disk::mount(data));
        let Some(disk) = disk else {
            return is_not_played("the end of the story", "there are no loop disks");
        };
        let people = town.team(&["ann", "bob"]);
        people[0].says("team", "before");
        assert_eq!(people[1].texts("team"), ["before"]);
        disk.breaks();
        // Nothing was sent if the server had ended already; else nobody knows yet.
        let lost = people[0].run(&["send", "team", "in between"]);
        assert!([5, 6].contains(&lost.code), "{lost:#?}");
        assert_eq!(town.server_ends().signal(), Some(SIGABRT));
        let log = String::from_utf8(town.server_log()).unwrap();
        let words = log.lines().rfind(|line| line.contains("the server ends itself")).unwrap();
        assert!(words.contains("read-only, then start the server again"), "{words}");
        says_that_it_is_read_only(town.fails_to_serve());

        disk.is_mended();
        town.start_server();
        // What is queued goes out before what she says next.
        people[0].says("team", "after");
        let mut said = vec!["before", "after"];
        if lost.code == 6 {
            said.insert(1, "in between");
        }
        for person in &people {
            assert_eq!(person.texts("team"), said);
        }
    });
}

#[test]
fn a_client_on_a_read_only_disk_does_nothing_and_says_why() {
    with_private_mounts("a_client_on_a_read_only_disk_does_nothing_and_says_why", || {
        let town = Town::start();
        let mut people = town.team(&["ann", "bob"]);
        people[0].says("team", "before");
        // A log that was asked for and cannot be written would be the first to complain.
        people[1].has_log = false;
        make_read_only(&people[1].home);
        for command in [
            &["rooms"][..],
            &["history", "team"],
            &["tail", "team", "--timeout", "1s"],
            &["read", "team"],
            &["send", "team", "never"],
            &["room", "create", "other"],
            &["outbox", "list"],
            &["whoami"],
            &["logout", "--yes"],
        ] {
            says_that_it_is_read_only(people[1].run(command));
        }
        let doctor = people[1].run(&["doctor"]).ends_with(1);
        assert!(doctor.out.contains("mount it writable"), "{doctor:#?}");
        let link = people[0].run(&["invite"]).succeeds().out.trim().to_owned();
        let mut cleo = town.stranger("cleo");
        cleo.has_log = false;
        make_read_only(&cleo.home);
        says_that_it_is_read_only(cleo.run(&["join", &link, "--name", "cleo"]));

        make_writable(&people[1].home);
        assert_eq!(people[1].texts("team"), ["before"], "and nothing that was refused");
        people[1].says("team", "after");
        make_writable(&cleo.home);
        cleo.run(&["join", &link, "--name", "cleo"]).succeeds();
        assert_eq!(people[0].texts("team"), ["before", "after"]);
    });
}
