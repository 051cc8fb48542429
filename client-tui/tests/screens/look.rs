use crate::app::{TestApp, cast_rooms};
use crate::cast;
use mathia_protocol::client::*;
use mathia_tui::app::effect::Ask;
use mathia_tui::app::join::JoinAnswer;
use mathia_tui::app::message::Msg;
use zeroize::Zeroizing;
fn show(t: &str, s: String) {
    println!("##### {t}\n{s}");
}
#[test]
fn look() {
    let mut app = TestApp::in_team();
    app.types("<ctrl-k>");
    show("switcher", app.screen(80, 24));
    app.types("bo");
    show("switcher bo", app.screen(80, 24));
    app.types("<esc>?");
    show("keys", app.screen(80, 24));
    app.types("<pagedown><pagedown><pagedown><pagedown><pagedown><pagedown>");
    show("keys2", app.screen(80, 24));
    app.types("<esc><alt-k>");
    show("select", app.screen(80, 24));
    app.types("kkk");
    app.types("?");
    show("why", app.screen(80, 24));
    app.types("t");
    show("ticks", app.screen(40, 12));
    app.types("<esc><esc>/lock<enter>");
    show("lock", app.screen(80, 24));
    app.types("<esc>/who<enter>");
    show("who", app.screen(80, 24));
    app.types("<esc>/jo");
    show("slash", app.screen(80, 24));
    app.types("ni x<enter>");
    show("unknown", app.screen(80, 24));
    app.types("<ctrl-c>");
    show("cancel", app.screen(80, 24));
    app.offline();
    app.types("first line<ctrl-j>second 안녕하세요 line that is rather long and wraps around the edge of the composer<enter>and another<enter>");
    app.types("dra");
    show("offline", app.screen(80, 24));
    app.types("<ctrl-u>/outbox<enter>");
    show("outbox", app.screen(80, 24));
    app.types("<esc>/net<enter>");
    show("net", app.screen(80, 24));
    app.types("<esc>/leave<enter>");
    show("q", app.screen(80, 24));
    app.types("<esc>");
    app.tells(ClientEvent::Typing { room: cast::TEAM, account: cast::BOB, is_typing: true });
    app.types("<pageup>");
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, cast::NOW, cast::BOB, "hi"))));
    show("scrolled", app.screen(80, 14));
    app.answers(
        Ask::Safety { person: "bob".parse().unwrap(), asks: true },
        Done::Safety("123451234512345123451234512345123451234512345123451234512345".into()),
    );
    show("safety", app.screen(80, 24));
    app.answers(Ask::Invite, Done::Invite(InviteLink("mathia://example.org:4433/i/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz".into())));
    show("invite", app.screen(80, 24));
    let _ = cast_rooms();
    let mut app = TestApp::new(None);
    show("wiz", app.screen(80, 24));
    app.types("foo<enter>");
    show("wiz", app.screen(40, 12));
    app.types("<ctrl-u>mathia://example.org/abc<enter>Ann<enter>");
    show("wiz", app.screen(80, 24));
    show("wiz", app.screen(40, 12));
    app.types("<ctrl-u>ann<enter>");
    show("wiz", app.screen(80, 24));
    app.send(Msg::Joined(JoinAnswer::UnknownServer {
        address: "example.org:4433".into(),
        fingerprint: "7f3a 91c2 0d44 8e1b  55aa 0192 fe3c 7788".into(),
    }));
    show("wiz", app.screen(80, 24));
    app.types("no<enter>");
    show("wiz", app.screen(40, 12));
    app.send(Msg::Joined(JoinAnswer::Joined {
        me: TestApp::ann(),
        words: (0..24)
            .map(|i| Zeroizing::new(["abandon", "zoo", "umbrella", "cat"][i % 4].to_string()))
            .collect(),
    }));
    show("wiz", app.screen(80, 24));
    show("wiz", app.screen(40, 12));
    app.types("<enter>");
    show("empty", app.screen(80, 24));
    app.online();
    app.answers(Ask::Rooms, Done::Rooms(vec![]));
    show("empty", app.screen(80, 24));
    show("empty", app.screen(40, 12));
}
