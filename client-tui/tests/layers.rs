//! Which module of the client may use which. A new arrow is a change of design: draw it here, and
//! say in `ARCHITECTURE.md` why it is needed.

use std::path::Path;

use mathia_testkit::layers::{LayerMap, violations};

/// From the ground up. The interactive client and the commands never use each other.
#[rustfmt::skip] // A map is easier to read in a few wide lines.
const LAYERS: &LayerMap<'static> = &[
    // What both the interactive client and the commands are built on.
    ("asking", &[]),
    ("clock", &[]),
    ("exit", &[]),
    ("nearest", &[]),
    ("paths", &[]),
    ("safe_text", &[]),
    ("config", &["exit", "nearest"]),
    ("known_servers", &["clock", "paths"]),
    ("output", &["asking", "clock", "exit", "safe_text"]),
    ("profile", &["exit", "paths"]),
    ("verbs", &["clock", "nearest"]),
    ("registration", &["exit", "known_servers", "paths"]),
    // The interactive client: a pure core in a thin shell.
    ("app", &[]),
    ("app/me", &[]),
    ("app/now", &[]),
    ("app/signals", &[]),
    ("app/stamp", &[]),
    ("app/theme", &[]),
    ("app/wrap", &[]),
    ("app/background", &["app/theme"]),
    ("app/chord", &["nearest"]),
    ("app/clock", &["app/now"]),
    ("app/composer", &["app/wrap"]),
    ("app/join", &["app/me"]),
    ("app/action", &["app/composer"]),
    ("app/effect", &["app/join"]),
    ("app/session", &["app/join", "app/me"]),
    ("app/keymap", &["app/action", "app/chord", "app/composer", "config", "nearest"]),
    ("app/message", &["app/effect", "app/join", "app/theme"]),
    ("app/update/key_outcome", &["app/effect"]),
    ("app/command_queues", &["app/effect", "app/message", "app/session"]),
    ("app/input", &["app/background", "app/message"]),
    ("app/model", &[
        "app/action", "app/composer", "app/join", "app/keymap", "app/me", "app/now", "app/stamp",
        "app/theme", "app/wrap", "asking", "safe_text",
    ]),
    ("app/explain", &[
        "app/action", "app/chord", "app/composer", "app/keymap", "app/model", "app/stamp",
        "app/wrap", "asking", "safe_text", "verbs",
    ]),
    ("app/layout", &["app/model", "app/stamp", "app/wrap", "asking", "safe_text"]),
    ("app/switcher", &["app/model"]),
    ("app/update/completion", &["app/model", "verbs"]),
    ("app/update/notices", &["app/effect", "app/model", "safe_text"]),
    ("app/update/editing", &[
        "app/composer", "app/effect", "app/model", "app/update/completion", "app/update/notices",
        "safe_text",
    ]),
    ("app/view", &[
        "app/action", "app/chord", "app/composer", "app/explain", "app/keymap", "app/layout",
        "app/model", "app/stamp", "app/switcher", "app/theme", "app/wrap", "asking", "safe_text",
        "verbs",
    ]),
    ("app/terminal", &["app/background", "app/model", "app/view", "safe_text"]),
    ("app/update/asking", &[
        "app/action", "app/composer", "app/effect", "app/model", "app/update/editing",
        "app/update/key_outcome", "app/update/notices",
    ]),
    ("app/update/reading", &["app/effect", "app/model", "app/update/editing"]),
    ("app/update/rooms", &[
        "app/composer", "app/effect", "app/layout", "app/model", "app/update/editing",
        "app/update/notices",
    ]),
    ("app/update/outbox", &[
        "app/action", "app/effect", "app/explain", "app/model", "app/update/asking",
        "app/update/editing", "app/update/key_outcome", "app/update/notices", "app/update/rooms",
        "safe_text",
    ]),
    ("app/update/scrolling", &["app/effect", "app/layout", "app/model", "app/update/rooms"]),
    ("app/update/select", &[
        "app/effect", "app/layout", "app/model", "app/update/notices", "app/update/rooms",
    ]),
    ("app/update/wizard", &[
        "app/action", "app/chord", "app/composer", "app/effect", "app/join", "app/keymap",
        "app/model", "app/update/rooms", "safe_text",
    ]),
    ("app/update/commands", &[
        "app/effect", "app/model", "app/update/asking", "app/update/editing", "app/update/notices",
        "app/update/outbox", "app/update/reading", "app/update/rooms", "verbs",
    ]),
    ("app/update/events", &[
        "app/effect", "app/me", "app/model", "app/update/notices", "app/update/rooms",
        "app/update/scrolling", "safe_text",
    ]),
    ("app/update/overlays", &[
        "app/action", "app/effect", "app/explain", "app/model", "app/switcher", "app/update/asking",
        "app/update/key_outcome", "app/update/notices", "app/update/outbox", "app/update/rooms",
    ]),
    ("app/update/answers", &[
        "app/composer", "app/effect", "app/model", "app/update/asking", "app/update/editing",
        "app/update/events", "app/update/notices", "app/update/outbox", "app/update/rooms",
        "safe_text",
    ]),
    ("app/update/submit", &[
        "app/effect", "app/model", "app/update/asking", "app/update/commands", "app/update/editing",
        "app/update/notices", "app/update/outbox", "verbs",
    ]),
    ("app/update/keys", &[
        "app/action", "app/chord", "app/composer", "app/effect", "app/keymap", "app/model",
        "app/update/asking", "app/update/editing", "app/update/key_outcome", "app/update/notices",
        "app/update/overlays", "app/update/rooms", "app/update/scrolling", "app/update/select",
        "app/update/submit",
    ]),
    ("app/update", &[
        "app/effect", "app/message", "app/model", "app/now", "app/update/answers",
        "app/update/editing", "app/update/events", "app/update/keys", "app/update/notices",
        "app/update/reading", "app/update/rooms", "app/update/wizard",
    ]),
    ("app/runtime", &[
        "app/clock", "app/command_queues", "app/effect", "app/input", "app/join", "app/keymap",
        "app/message", "app/model", "app/session", "app/signals", "app/stamp", "app/terminal",
        "app/theme", "app/update",
    ]),
    // The command line.
    ("commands/resolve", &["exit"]),
    ("cli", &["verbs"]),
    ("commands/prompt", &["exit", "output"]),
    ("commands/context", &["commands/prompt", "config", "exit", "output", "paths"]),
    ("commands/session", &[
        "commands/context", "commands/prompt", "commands/resolve", "exit", "known_servers",
        "output", "paths",
    ]),
    ("commands", &[
        "asking", "cli", "clock", "commands/context", "commands/prompt", "commands/resolve",
        "commands/session", "exit", "known_servers", "output", "registration", "verbs",
    ]),
    // On top.
    ("interactive", &[
        "app/join", "app/keymap", "app/me", "app/runtime", "app/session", "app/stamp", "app/theme",
        "clock", "config", "exit", "known_servers", "paths", "registration",
    ]),
    ("main", &[
        "app/keymap", "cli", "commands", "config", "exit", "interactive", "output", "paths",
        "verbs",
    ]),
];

#[test]
fn each_module_uses_only_what_lies_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = violations(&src, "mathia_tui", LAYERS);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
