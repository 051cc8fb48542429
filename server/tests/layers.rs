//! Which module of the server may use which. A new arrow is a change of design: draw it here, and
//! say in `ARCHITECTURE.md` why it is needed.

use std::path::Path;

use mathia_testkit::layers::{LayerMap, violations};

/// From the ground up.
const LAYERS: &LayerMap<'static> = &[
    ("clock", &[]),
    ("data_dir", &[]),
    ("duration_text", &[]),
    ("error_text", &[]),
    ("limits", &[]),
    ("model_address", &[]),
    ("rate", &[]),
    ("store", &[]),
    ("refusal", &["store"]),
    ("damage", &["error_text", "store"]),
    ("hub", &["limits"]),
    ("accounts", &["refusal", "store"]),
    ("rooms", &["accounts", "clock", "damage", "hub", "limits", "rate", "refusal", "store"]),
    ("session", &["clock", "damage", "hub", "limits", "rate", "refusal", "rooms", "store"]),
    ("cli", &["duration_text"]),
    ("config", &["duration_text", "limits", "model_address"]),
    ("telemetry", &["config"]),
    ("command", &["config", "error_text", "telemetry"]),
    (
        "serve",
        &[
            "accounts", "clock", "config", "damage", "data_dir", "hub", "limits", "rate", "rooms",
            "session", "store",
        ],
    ),
    ("admin", &["error_text", "refusal", "rooms", "serve", "store"]),
    // Beside the server, never within it: a client like any other.
    ("assistant", &["cli", "clock", "command", "config", "error_text", "limits", "model_address"]),
    (
        "program",
        &[
            "admin",
            "assistant",
            "cli",
            "command",
            "config",
            "data_dir",
            "error_text",
            "serve",
            "telemetry",
        ],
    ),
    ("main", &["admin", "assistant", "cli", "command", "config", "error_text", "program"]),
];

#[test]
fn each_module_uses_only_what_lies_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = violations(&src, "mathia_server", LAYERS);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
