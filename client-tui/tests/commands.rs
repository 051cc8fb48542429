//! Stories of people who use the real commands against a real server.

use std::collections::BTreeSet;
use std::fs;

use crate::town::{Person, Town, find_in_files, holds};
use serde_json::Value;

fn places(messages: &[Value]) -> Vec<(u64, String)> {
    let place =
        |line: &Value| (line["seq"].as_u64().unwrap(), line["text"].as_str().unwrap().to_owned());
    messages.iter().map(place).collect()
}

/// The main line: three homes, one sealed room, both directions, a restart of everything.
#[test]
fn three_people_talk_and_see_the_same_also_after_a_restart() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob", "cleo"]);
    people[0].says("team", "the cut is on the branch");
    people[1].says("#team", "looks right");
    people[2].says("team", "agreed");
    let before: Vec<_> = people.iter().map(|person| places(&person.messages("team"))).collect();
    assert_eq!(before[0].len(), 3);
    assert!(before.iter().all(|one| *one == before[0]), "{before:?}");
    town.kill_server();
    town.start_server();
    for person in &people {
        assert_eq!(places(&person.messages("team")), before[0]);
    }
    let compare = |key: &str| -> BTreeSet<String> {
        people.iter().map(|person| person.room("team")[key].to_string()).collect()
    };
    for key in ["seq", "hash", "code", "epoch"] {
        assert_eq!(compare(key).len(), 1, "{key} differs: {:?}", compare(key));
    }
    // Everybody has received ann's text by reading the history; reading is another step.
    let ticks = |text: &str| {
        let line = people[0].messages("team").into_iter().find(|line| line["text"] == text);
        line.unwrap()["ticks"].as_str().unwrap().to_owned()
    };
    people[0].says("team", "done then");
    assert_eq!(ticks("done then"), "accepted");
    for person in &people[1..] {
        person.run(&["history", "team"]).succeeds();
    }
    people[0].waits_until("delivered", |_| ticks("done then") == "delivered");
    for person in &people[1..] {
        person.run(&["read", "team"]).succeeds();
    }
    people[0].waits_until("read", |_| ticks("done then") == "read");
    assert_eq!(people[1].room("team")["unread"], 0);
}

/// An emoji travels sealed as everything else; each sees whose last word it is, and nothing is unread.
#[test]
fn people_react_and_take_it_back_and_nothing_is_unread() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let seq = people[0].says("team", "the release is out")["seq"].as_u64().unwrap();
    let at = seq.to_string();
    let reactions = |person: &Person| {
        let messages = person.messages("team");
        let message = messages.iter().find(|line| line["seq"] == seq).unwrap();
        message["reactions"].clone()
    };
    assert!(reactions(&people[1]).is_null(), "no field where there is nothing");
    let put = people[1].run(&["react", "team", &at, ":tada:", "--json"]).succeeds().json();
    let put = &put[0];
    assert_eq!((&put["type"], &put["emoji"]), (&"reaction".into(), &"🎉".into()));
    assert_eq!((&put["target"], &put["removed"]), (&seq.into(), &false.into()));
    people[0].run(&["react", "#team", &at, "🎉"]).succeeds();
    let by = |names: &[&str]| serde_json::json!([{ "emoji": "🎉", "from": names }]);
    people[0].waits_until("bob's emoji", |ann| reactions(ann) == by(&["bob", "ann"]));
    assert_eq!(people[0].room("team")["unread"], 0);
    people[1].run(&["react", "team", &at, "🎉", "--remove"]).succeeds();
    people[0].waits_until("it is taken back", |ann| reactions(ann) == by(&["ann"]));
    let log = people[0].run(&["history", "team"]).succeeds().out;
    assert!(log.contains(&format!("* bob put 🎉 on message {seq}")), "{log}");
    assert!(log.contains(&format!("* bob took 🎉 back from message {seq}")), "{log}");

    // A word is no emoji, there is no such message, and a change of the room is none.
    people[0].run(&["react", "team", &at, "hurray"]).ends_with(2);
    people[0].run(&["react", "team", "9999", "🎉"]).ends_with(3);
    people[0].run(&["react", "team", "1", "🎉"]).ends_with(2);
}

#[test]
fn tail_prints_each_message_once_and_ends_when_told() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let first = people[0].says("team", "zero");
    let seq = first["seq"].as_u64().unwrap();
    let tail = people[1].start(&["tail", "team", "--json", "--since", "0", "--count", "4"]);
    assert_eq!(tail.hears()["text"], "zero");
    for text in ["one", "two", "three"] {
        people[0].says("team", text);
    }
    let heard: Vec<Value> = (0..3).map(|_| tail.hears()).collect();
    assert_eq!(
        places(&heard),
        [(seq + 1, "one".into()), (seq + 2, "two".into()), (seq + 3, "three".into())]
    );
    assert!(heard[0]["ticks"].is_null(), "ticks stand on own messages only");
    assert_eq!(tail.ends(), 0);
    let silent = people[1].run(&["tail", "team", "--timeout", "500ms", "--json"]).ends_with(124);
    assert!(silent.json().iter().all(|line| line["type"] != "message"));
}

#[test]
fn several_processes_of_one_device_send_without_loss_or_double() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let tail = people[0].start(&["tail", "team", "--json", "--since", "0"]);
    let sends: Vec<_> = (0..12)
        .map(|n| people[0].start(&["send", "team", &format!("text {n}"), "--json"]))
        .collect();
    let mut seqs = BTreeSet::new();
    for send in sends {
        seqs.insert(send.hears()["seq"].as_u64().unwrap());
        assert_eq!(send.ends(), 0);
    }
    assert_eq!(seqs.len(), 12);
    for _ in 0..12 {
        tail.hears();
    }
    let mut texts = people[1].texts("team");
    texts.sort();
    let mut wanted: Vec<String> = (0..12).map(|n| format!("text {n}")).collect();
    wanted.sort();
    assert_eq!(texts, wanted);
}

#[test]
fn without_a_server_nothing_is_sent_and_what_was_here_is_shown() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].says("team", "before");
    town.kill_server();
    let refused = people[0].run(&["send", "team", "never"]).ends_with(5);
    assert!(refused.err.contains("nothing was sent"), "{}", refused.err);
    assert_eq!(people[0].run(&["outbox", "list"]).succeeds().out, "");
    let history = people[0].run(&["history", "team"]).succeeds();
    assert!(history.out.contains("ann: before") && history.err.contains("offline"));
    assert!(people[0].run(&["rooms"]).succeeds().err.contains("offline"));
    people[0].run(&["room", "create", "other"]).ends_with(5);
    town.start_server();
    assert_eq!(people[1].texts("team"), ["before"]);
    assert_eq!(people[0].texts("team"), ["before"]);
}

/// The text was written to the wire: nobody knows whether it is stored, so it stays queued, and the
/// next process of the device finds out.
#[test]
fn a_text_without_an_answer_stays_queued_and_arrives_once() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let tail = people[0].start(&["tail", "team", "--json", "--since", "0"]);
    people[1].says("team", "are you there?");
    tail.hears();
    town.freeze_server();
    people[0].run(&["send", "team", "yes"]).ends_with(6);
    let queued = people[0].run(&["outbox", "list", "--json"]).succeeds().json();
    assert_eq!((&queued[0]["text"], &queued[0]["state"]), (&"yes".into(), &"sent".into()));
    town.thaw_server();
    assert_eq!(tail.hears()["text"], "yes");
    assert_eq!(people[1].texts("team"), ["are you there?", "yes"]);
    people[0].waits_until("an empty outbox", |ann| {
        ann.run(&["outbox", "list"]).succeeds().out.is_empty()
    });
}

#[test]
fn what_was_said_lies_nowhere_in_clear() {
    const CANARY: &str = "the heron lands at dawn";
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "create", "lobby", "--open"]).succeeds();
    people[1].run(&["room", "join", "lobby"]).succeeds();
    people[0].says("team", CANARY);
    people[0].says("lobby", CANARY);
    people[0].run(&["dm", "bob", CANARY]).succeeds();
    for room in ["team", "lobby", "@ann"] {
        assert_eq!(people[1].texts(room), [CANARY], "{room}");
    }
    town.kill_server();
    // Queued texts and drafts lie in the replica too.
    people[0].run(&["send", "team", CANARY]).ends_with(5);
    assert_eq!(find_in_files(&town.server_data(), CANARY.as_bytes()), None);
    assert!(!holds(&town.server_log(), CANARY.as_bytes()));
    for person in &people {
        assert_eq!(find_in_files(&person.home, CANARY.as_bytes()), None);
        assert_eq!(find_in_files(&person.home.join("data"), b"lobby"), None, "names are sealed");
    }
}

/// The operator changes the keys of open rooms, beside the server and without it.
#[test]
fn what_was_said_in_the_open_stays_readable_when_the_keys_at_rest_change() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "create", "lobby", "--open"]).succeeds();
    people[0].says("lobby", "under the first key");
    let rotated = town.operates(&["rotate-keys", "--json"]).succeeds().json();
    assert_eq!((&rotated[0]["type"], &rotated[0]["rooms"]), (&"rotated".into(), &1.into()));
    people[0].says("lobby", "under the second key");
    town.kill_server();
    assert!(town.operates(&["rotate-keys"]).succeeds().out.starts_with("1 open rooms"));
    town.start_server();
    people[1].run(&["room", "join", "lobby"]).succeeds();
    people[1].says("lobby", "under the third key");
    let said = ["under the first key", "under the second key", "under the third key"];
    for person in &people {
        assert_eq!(person.texts("lobby"), said);
    }
    let backup = town.server_data().with_file_name("copy");
    let checked = town.operates(&["backup", backup.to_str().unwrap(), "--json"]).succeeds().json();
    assert_eq!(checked[0]["rooms"], 2);
}

#[test]
fn a_removed_member_reads_nothing_that_comes_after() {
    let town = Town::start();
    let people = town.team(&["ann", "bob", "cleo"]);
    people[0].says("team", "for all");
    assert_eq!(people[1].texts("team"), ["for all"]);
    people[0].run(&["room", "remove", "team", "bob"]).succeeds();
    people[0].says("team", "not for bob");
    assert_eq!(people[2].texts("team"), ["for all", "not for bob"]);
    let members = people[0].run(&["room", "members", "team"]).succeeds().out;
    assert!(!members.contains("bob"), "{members}");
    let refused = people[1].run(&["send", "team", "hello?"]);
    assert_ne!(refused.code, 0);
    assert!(!people[1].run(&["history", "team"]).out.contains("not for bob"));
}

#[test]
fn rooms_are_renamed_rotated_and_left() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "rename", "team", "crew"]).succeeds();
    assert_eq!(people[1].room("crew")["epoch"], people[0].room("crew")["epoch"]);
    let before = people[0].room("crew")["epoch"].as_u64().unwrap();
    people[0].run(&["room", "rotate", "crew"]).succeeds();
    assert_eq!(people[0].room("crew")["epoch"].as_u64().unwrap(), before + 1);
    people[0].run(&["room", "role", "crew", "bob", "admin"]).succeeds();
    people[0].run(&["room", "set", "crew", "topic", "ships"]).succeeds();
    assert_eq!(people[1].room("crew")["topic"], "ships");
    assert_eq!(people[1].room("crew")["role"], "admin");
    people[1].run(&["room", "leave", "crew"]).succeeds();
    assert_eq!(people[0].room("crew")["members"], serde_json::json!(["ann"]));
    people[0].says("crew", "alone now");
}

/// An invite that names a room, a message that is said later, and a device that is put out.
#[test]
fn a_newcomer_is_let_in_hears_what_was_scheduled_and_leaves_for_good() {
    let town = Town::start();
    let ann = town.first("ann");
    ann.run(&["room", "create", "team"]).succeeds();
    let link = ann.run(&["invite", "--room", "team"]).succeeds().out.trim().to_owned();
    let bob = town.joiner("bob", &link);
    let host = ann.start(&["tail", "team", "--json", "--since", "0"]);
    while host.sees("member")["action"] != "add" {}
    bob.waits_until("the room", |bob| bob.run(&["rooms"]).succeeds().out.contains("#team"));
    ann.run(&["schedule", "team", "1s", "as planned"]).succeeds();
    assert_eq!(host.hears()["text"], "as planned");
    bob.waits_until("the message", |bob| bob.texts("team") == ["as planned"]);
    let device = bob.run(&["devices", "--json"]).succeeds().json()[0]["device"].clone();
    bob.run(&["device", "revoke", device.as_str().unwrap()]).ends_with(2);
    bob.run(&["device", "revoke", device.as_str().unwrap(), "--yes"]).succeeds();
    bob.run(&["send", "team", "still here?"]).ends_with(4);
    ann.says("team", "not for a revoked device");
    assert!(!bob.run(&["history", "team"]).out.contains("revoked"));
    let safety = |person: &Person, of: &str| {
        person.run(&["safety", of, "--json"]).succeeds().json()[0]["digits"].clone()
    };
    let digits = safety(&ann, "bob");
    assert_eq!(digits.as_str().unwrap().chars().filter(char::is_ascii_digit).count(), 60);
}

/// No client of the inviter runs all day: the next command lets in whoever joined meanwhile.
#[test]
fn one_command_of_the_inviter_lets_in_everybody_who_joined() {
    let town = Town::start();
    let ann = town.first("ann");
    ann.run(&["room", "create", "team"]).succeeds();
    ann.says("team", "before you came");
    let invite = ["invite", "--room", "team", "--uses", "2"];
    let link = ann.run(&invite).succeeds().out.trim().to_owned();
    let newcomers = ["bob", "cleo"].map(|name| town.joiner(name, &link));
    for newcomer in &newcomers {
        assert!(!newcomer.run(&["rooms"]).succeeds().out.contains("#team"), "nobody let them in");
    }
    let members = ann.room("team")["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 3, "{members}: told by the same command");
    ann.says("team", "welcome");
    for newcomer in &newcomers {
        assert_eq!(newcomer.texts("team"), ["welcome"]);
    }
    newcomers[1].says("team", "thanks");
    assert_eq!(newcomers[0].texts("team"), ["welcome", "thanks"]);
    assert_eq!(ann.texts("team"), ["before you came", "welcome", "thanks"]);
}

#[test]
fn wrong_use_ends_with_its_code_and_a_line_that_helps() {
    let town = Town::start();
    let stranger = town.stranger("eve");
    stranger.run(&["rooms"]).ends_with(4);
    stranger.run(&["join", "nonsense", "--name", "eve"]).ends_with(2);
    stranger.run(&["join", "mathia://127.0.0.1:1", "--name", "eve", "--yes"]).ends_with(5);
    let people = town.team(&["ann", "bob"]);
    let used = stranger.run(&["join", town.admin_link(), "--name", "eve"]).ends_with(4);
    assert!(used.err.contains("hint: ask for a new invite"), "{}", used.err);
    let link = people[0].run(&["invite"]).succeeds().out.trim().to_owned();
    let taken = stranger.run(&["join", &link, "--name", "ann"]).ends_with(7);
    assert!(taken.err.contains("another --name"), "{}", taken.err);
    stranger.run_with(&["join", "-", "--name", "eve"], &format!("{link}\n")).succeeds();
    stranger.run(&["join", &link, "--name", "eve"]).ends_with(1);

    let ann = &people[0];
    let unknown = ann.run(&["send", "nowhere", "hi"]).ends_with(3);
    assert!(unknown.err.contains("hint: `mathia-tui rooms`"), "{}", unknown.err);
    ann.run(&["dm", "nobody", "hi"]).ends_with(3);
    ann.run(&["send", "team", " "]).ends_with(2);
    ann.run_with(&["send", "team", "-"], &"x".repeat(20_000)).ends_with(2);
    ann.run(&["room", "create", "twin"]).succeeds();
    ann.run(&["room", "create", "twin"]).succeeds();
    let ids: Vec<String> = ann
        .run(&["rooms", "--json"])
        .succeeds()
        .json()
        .into_iter()
        .filter(|line| line["room"] == "twin")
        .map(|line| line["room_id"].as_str().unwrap().to_owned())
        .collect();
    let ambiguous = ann.run(&["send", "twin", "hi"]).ends_with(2);
    assert!(ids.len() == 2 && ids.iter().all(|id| ambiguous.err.contains(id.as_str())));
    ann.run(&["send", &ids[0][..12], "hi"]).succeeds();
    ann.run(&["logout"]).ends_with(2);
    ann.run(&["key", "show"]).ends_with(2);
    ann.run(&["outbox", "withdraw", "999"]).ends_with(3);
    ann.run(&["frobnicate"]).ends_with(2);
    fs::create_dir_all(ann.home.join("config")).unwrap();
    fs::write(ann.home.join("config/config.toml"), "[ui").unwrap();
    ann.run(&["rooms"]).ends_with(78);
}

#[test]
fn a_server_with_another_key_is_not_talked_to() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].says("team", "before");
    town.kill_server();
    fs::rename(town.server_data(), town.server_data().with_extension("old")).unwrap();
    town.start_server();
    let refused = people[0].run(&["send", "team", "never"]).ends_with(9);
    assert!(refused.err.contains("trust --replace"), "{}", refused.err);
    people[0].run(&["rooms", "--yes"]).ends_with(9);
    let address = format!("mathia://{}", town.address());
    let stranger = town.stranger("eve");
    stranger.run(&["join", &address, "--name", "eve"]).ends_with(9);
    assert!(!stranger.home.join("data/main/identity.key").exists());
    // A new profile of the same person knows the old key from the list.
    let changed = people[0].run(&["--profile", "two", "join", &address, "--name", "eve", "--yes"]);
    changed.ends_with(9);
    town.kill_server();
    fs::rename(town.server_data(), town.server_data().with_extension("new")).unwrap();
    fs::rename(town.server_data().with_extension("old"), town.server_data()).unwrap();
    town.start_server();
    assert_eq!(people[1].texts("team"), ["before"]);
    people[0].says("team", "after");
}

#[cfg(unix)]
#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let town = Town::start();
    let ann = town.first("ann");
    let keys = ann.home.join("data/main/identity.key");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = ann.run(&["rooms"]).ends_with(4);
    assert!(refused.err.contains("chmod 600"), "{}", refused.err);
    ann.run(&["doctor"]).ends_with(1);
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    ann.run(&["doctor"]).succeeds();
    ann.run(&["logout", "--yes"]).succeeds();
    assert!(!keys.exists());
    ann.run(&["whoami"]).ends_with(4);
}

#[cfg(unix)]
#[test]
fn signals_and_closed_pipes_end_a_tail_as_they_should() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let tail = people[0].start(&["tail", "team", "--json", "--since", "0"]);
        tail.sees("member");
        tail.signal(name);
        assert_eq!(tail.ends(), code, "{name}");
    }
    let pipe = format!(
        "{} history team --json | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_mathia-tui")
    );
    for n in 0..20 {
        people[0].says("team", &format!("line {n}"));
    }
    let ran = std::process::Command::new("bash")
        .args(["-c", &pipe])
        .env("MATHIA_HOME", &people[0].home)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "0");
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "", "no word about the closed pipe");
}

/// A change may bring several people at once that a member has never heard of, and the assistant.
#[test]
fn strangers_who_are_added_together_break_nobodys_room() {
    let town = Town::start_with_assistant();
    let people = town.team(&["ann", "bob"]);
    assert_eq!(people[1].room("team")["members"].as_array().map(Vec::len), Some(2));
    for name in ["cleo", "dan"] {
        let link = people[0].run(&["invite"]).succeeds().out.trim().to_owned();
        town.joiner(name, &link);
    }
    people[0].run(&["room", "add", "team", "cleo", "dan", "mathia"]).succeeds();
    people[0].says("team", "welcome");
    people[1].waits_until("the welcome", |bob| bob.texts("team") == ["welcome"]);
    assert!(people[1].room("team")["sending_stopped"].is_null());
    let ask = ["ask", "--room", "team", "--yes", "--json", "help"];
    let answered = people[0].run(&ask).succeeds().json();
    assert_eq!(answered[0]["outcome"], "complete", "the assistant has met them all as well");
}

/// What leaves is shown first, and nothing leaves without a yes; the answer is everybody's.
#[test]
fn a_question_is_shown_before_it_leaves_and_answered_in_the_room() {
    let town = Town::start_with_assistant();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "add", "team", "mathia"]).succeeds();
    people[0].says("team", "the column is added twice");
    let ask = ["ask", "--room", "team", "--context", "1", "help"];
    let refused = people[0].run(&ask).ends_with(2);
    assert!(refused.err.contains("the column is added twice"), "{refused:#?}");
    assert!(refused.err.contains("no model is connected"), "{refused:#?}");
    let history = |person: &Person| person.run(&["history", "team", "--json"]).succeeds().json();
    assert!(history(&people[0]).iter().all(|line| line["type"] != "ask"), "nothing left");

    let answered = people[0].run(&[&ask[..], &["--yes", "--json"]].concat()).succeeds().json();
    assert_eq!(
        (&answered[0]["type"], &answered[0]["outcome"]),
        (&"answer".into(), &"complete".into())
    );
    let seen = history(&people[1]);
    let of = |kind: &str| seen.iter().find(|line| line["type"] == kind).unwrap();
    assert_eq!(of("answer")["text"], answered[0]["text"]);
    assert_eq!(of("ask")["text"], "help");
    let shown = &of("ask")["attached"][0];
    assert_eq!(of("message")["seq"], *shown);
    assert_eq!(of("message")["shared_with_ai"], true, "every screen says so");
    let usage = people[0].run(&["usage", "--json"]).succeeds();
    assert!(usage.json().is_empty(), "no model was asked: {usage:#?}");
}

#[test]
fn without_a_room_a_question_goes_to_one_that_is_shared_with_the_assistant_alone() {
    let town = Town::start_with_assistant();
    let ann = town.first("ann");
    let first = ann.run_with(&["ask", "--yes", "--json", "-"], "help\n").succeeds().json();
    let again = ann.run(&["ask", "--yes", "--json", "help"]).succeeds().json();
    assert_eq!(first[0]["room_id"], again[0]["room_id"]);
    let members = ann.run(&["room", "members", "mathia", "--json"]).succeeds().json();
    assert_eq!(members.len(), 2);
    ann.run(&["dm", "mathia", "hi"]).ends_with(2);
}
