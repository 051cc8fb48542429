//! Every hint on the bottom line works right now in this place.

use super::app::TestApp;

/// The keys the bottom line promises: every second word group, from the right part of the line.
fn promised(app: &mut TestApp) -> Vec<String> {
    let screen = app.screen(120, 24);
    let bottom = screen.lines().last().expect("a screen has lines").trim_end().to_owned();
    let right = bottom.rsplit("   ").next().expect("always one piece").trim();
    let hints = right.split("  ").filter(|hint| !hint.is_empty());
    hints.filter_map(|hint| hint.split(' ').next()).map(str::to_owned).collect()
}

/// The name of a shown key as the tests type it.
fn typed(shown: &str) -> String {
    match shown {
        "j" | "y" | "t" | "?" => shown.to_owned(),
        "PgUp" => "<pageup>".to_owned(),
        "Alt-Enter" => "<alt-enter>".to_owned(),
        other => format!("<{}>", other.to_lowercase()),
    }
}

#[test]
fn every_hint_does_something() {
    let places: [(&str, bool); 6] = [
        ("", false),
        ("some text", false),
        ("<alt-k>k", false),
        ("<ctrl-k>", false),
        ("<pageup>", false),
        ("", true),
    ];
    for (keys, is_offline) in places {
        let arrive = || {
            let mut app = TestApp::in_team();
            app.screen(120, 14);
            app.types(keys);
            if is_offline {
                app.offline();
            }
            app
        };
        let hints = promised(&mut arrive());
        assert!(!hints.is_empty(), "no hints after {keys:?}");
        for hint in hints {
            let mut app = arrive();
            let before = app.screen(120, 14);
            app.effects.clear();
            app.types(&typed(&hint));
            let does_something = !app.effects.is_empty() || app.screen(120, 14) != before;
            assert!(does_something, "{hint} does nothing after {keys:?}");
        }
    }
}
