//! What the screens look like.

use mathia_protocol::client::{
    ClientEvent, ConnectionState, Done, EntryContent, InviteLink, UnreadableCause,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::RoomId;
use mathia_tui::app::effect::CommandTag;
use mathia_tui::app::theme::{Depth, Theme, Tone};

use super::app::{TestApp, cast_rooms};
use super::cast::{self, BOB, CLEO, MINUTE, THURSDAY_17};

/// A snapshot of the present screen at a size, under the given name.
macro_rules! looks {
    ($app:expr, $name:literal, $width:literal x $height:literal) => {
        insta::assert_snapshot!(
            concat!($name, "_", stringify!($width), "x", stringify!($height)),
            $app.screen($width, $height)
        );
    };
}

#[test]
fn a_quiet_room() {
    let mut rooms = cast_rooms();
    for room in &mut rooms {
        (room.n_unread, room.n_mentions) = (0, 0);
    }
    rooms[0].read_upto = mathia_protocol::id::Seq(8);
    let mut app = TestApp::in_rooms(rooms, cast::conversation());
    app.tells(ClientEvent::Marks { room: cast::TEAM, marks: cast::marks(6, 5) });
    looks!(app, "quiet_room", 80 x 24);
    looks!(app, "quiet_room", 40 x 12);
    looks!(app, "quiet_room", 120 x 36);
    looks!(app, "quiet_room", 200 x 20);
}

#[test]
fn new_messages_below_a_line() {
    let mut app = TestApp::in_team();
    looks!(app, "new_messages", 80 x 24);
    looks!(app, "new_messages", 56 x 20);
    looks!(app, "new_messages", 40 x 12);
}

#[test]
fn offline_with_a_queue_and_a_draft_elsewhere() {
    let mut app = TestApp::in_team();
    app.types("not yet finished<alt-down>");
    app.loads(cast::LOBBY, Vec::new());
    app.types("<alt-up>");
    app.types("<ctrl-u>");
    app.types("half a thought<alt-up>");
    app.types("<alt-down>");
    app.offline();
    app.waits(std::time::Duration::from_millis(42_500));
    app.types("<ctrl-u>the first line<ctrl-j>and the second<enter>then another<enter>");
    looks!(app, "offline", 80 x 24);
    looks!(app, "offline", 40 x 12);
    app.types("/outbox<enter>");
    looks!(app, "outbox", 80 x 24);
}

#[test]
fn the_switcher_ranks_mentions_then_unread_then_the_latest() {
    let mut rooms = cast_rooms();
    rooms[1].n_mentions = 2;
    rooms[1].n_unread = 4;
    let mut app = TestApp::in_rooms(rooms, cast::conversation());
    app.types("<ctrl-k>");
    app.types("<ctrl-k>");
    looks!(app, "switcher", 80 x 24);
    app.types("le");
    looks!(app, "switcher_filtered", 40 x 12);
}

#[test]
fn the_keys_of_this_place() {
    let mut app = TestApp::in_team();
    app.types("?");
    looks!(app, "keys", 80 x 24);
    looks!(app, "keys", 120 x 36);
    looks!(app, "keys", 40 x 12);
}

#[test]
fn why_a_message_has_its_tick() {
    let mut app = TestApp::in_team();
    app.types("<alt-k>kk");
    looks!(app, "selected", 80 x 24);
    app.types("?");
    looks!(app, "why_delivered", 80 x 24);
    app.types("t");
    looks!(app, "ticks", 40 x 12);
}

#[test]
fn who_can_read_and_who_is_there() {
    let mut app = TestApp::in_team();
    app.types("/lock<enter>");
    looks!(app, "lock", 80 x 24);
    app.types("<esc>/who<enter>");
    looks!(app, "who", 80 x 24);
}

#[test]
fn an_open_room_says_so() {
    let mut app = TestApp::in_rooms(vec![cast::lobby()], Vec::new());
    looks!(app, "open_room", 80 x 24);
    app.types("/lock<enter>");
    looks!(app, "open_lock", 80 x 24);
}

#[test]
fn what_cannot_be_read_or_trusted_says_why() {
    let t = THURSDAY_17;
    let unreadable =
        |seq, cause| cast::entry(seq, t + seq * MINUTE, BOB, EntryContent::Unreadable(cause));
    let entries = vec![
        unreadable(1, UnreadableCause::BeforeJoin),
        unreadable(2, UnreadableCause::BeforeJoin),
        unreadable(3, UnreadableCause::BeforeJoin),
        cast::changed(4, t + 4 * MINUTE, BOB, "added ann"),
        cast::said(5, t + 5 * MINUTE, BOB, "welcome"),
        unreadable(6, UnreadableCause::KeyAsked),
        unreadable(7, UnreadableCause::KeyBad),
        cast::entry(
            8,
            t + 8 * MINUTE,
            CLEO,
            EntryContent::Rejected { check: "signature".to_owned() },
        ),
        cast::entry(
            9,
            t + 9 * MINUTE,
            CLEO,
            EntryContent::Said(Content::Unknown { kind: 9, body: Vec::new() }),
        ),
        cast::entry(10, t + 10 * MINUTE, CLEO, EntryContent::Expired),
    ];
    let mut app = TestApp::in_rooms(vec![cast::team()], entries);
    app.tells(ClientEvent::Alarm {
        room: Some(cast::TEAM),
        account: None,
        cause: mathia_protocol::client::AlarmCause::Fork,
        text: "the server shows two histories of this room".to_owned(),
    });
    let mut stopped = cast::team();
    stopped.sending_stopped = Some("compare /code with the others".to_owned());
    app.tells(ClientEvent::Room(Box::new(stopped)));
    looks!(app, "unreadable", 80 x 24);
    looks!(app, "unreadable", 40 x 12);
    app.types("<alt-k>kkk?");
    looks!(app, "why_rejected", 80 x 24);
}

#[test]
fn every_writing_keeps_its_columns() {
    let t = THURSDAY_17;
    let entries = vec![
        cast::said(1, t, BOB, "안녕하세요, 내일 아침 열 시에 회의가 있습니다. 늦지 마세요."),
        cast::said(
            2,
            t,
            CLEO,
            "こんにちは。データベースの移行は今夜行います。よろしくお願いします。",
        ),
        cast::said(3, t, cast::ANN, "👩‍👩‍👧‍👦 👍🏽 🇰🇷 ❤️ and plain text"),
        cast::said(4, t, BOB, "السلام عليكم ورحمة الله وبركاته"),
        cast::said(5, t, CLEO, "שלום לכולם, מה שלומכם?"),
        cast::said(6, t, BOB, "สวัสดีครับ ยินดีที่ได้รู้จัก"),
        cast::said(7, t, CLEO, "invoice\u{202e}fdp.exe \u{1b}[31mred\u{7} Z\u{301}\u{302}\u{303}"),
    ];
    let mut app = TestApp::in_rooms(vec![cast::team()], entries);
    app.types("한국어도 잘 써집니다 👨‍👩‍👧");
    looks!(app, "writings", 80 x 24);
    looks!(app, "writings", 40 x 12);
}

#[test]
fn without_color_words_say_what_color_said() {
    let mut app = TestApp::in_team();
    app.looks(Theme { depth: Depth::None, tone: Tone::Dark });
    looks!(app, "colorless", 80 x 24);
}

#[test]
fn who_is_typing_has_a_row_of_its_own() {
    let mut app = TestApp::in_team();
    for account in [BOB, CLEO] {
        app.tells(ClientEvent::Typing { room: cast::TEAM, account, is_typing: true });
    }
    looks!(app, "typing", 80 x 24);
}

#[test]
fn a_command_being_written_shows_what_fits() {
    let mut app = TestApp::in_team();
    app.types("/r");
    looks!(app, "commands", 80 x 24);
    app.types("<ctrl-u>/jion ops<enter>");
    looks!(app, "unknown_command", 80 x 24);
}

#[test]
fn a_workspace_without_rooms_says_what_to_do() {
    let mut app = TestApp::new(Some(TestApp::ann()));
    looks!(app, "starting", 80 x 24);
    app.online();
    app.answers(CommandTag::Rooms, Done::Rooms(Vec::new()));
    looks!(app, "no_rooms", 80 x 24);
    looks!(app, "no_rooms", 40 x 12);
}

#[test]
fn panels_about_people_and_links() {
    let mut app = TestApp::in_team();
    let tag = CommandTag::Safety { person: "bob".parse().unwrap(), asks: true };
    app.answers(tag, Done::Safety("31415926535897932384".repeat(3)));
    looks!(app, "safety", 80 x 24);
    let link = "mathia://example.org:4433/i/q1w2e3r4t5y6u7i8o9p0q1w2e3r4t5y6u7i8o9p0a1s2d3";
    app.answers(CommandTag::Invite, Done::Invite(InviteLink(link.to_owned())));
    looks!(app, "invite", 80 x 24);
}

#[test]
fn a_stopped_connection_tells_its_cause() {
    let mut app = TestApp::in_team();
    let cause = "the server's key is not the one you know".to_owned();
    let stopped = ConnectionState::Stopped { cause, is_untrusted: true };
    app.tells(ClientEvent::Connection(stopped));
    looks!(app, "stopped", 80 x 24);
    app.types("/net<enter>");
    looks!(app, "net", 80 x 24);
}

#[test]
fn many_rooms_fold_at_the_foot_of_the_sidebar() {
    let rooms = (0..40).map(|i| cast::room(RoomId([i; 32]), &format!("room-{i:02}"))).collect();
    let mut app = TestApp::in_rooms(rooms, Vec::new());
    looks!(app, "many_rooms", 80 x 24);
}

/// Nothing is drawn beyond the edge and nothing panics, whatever the size.
#[test]
fn no_size_is_too_small_or_too_large() {
    let mut app = TestApp::in_team();
    app.types("a draft<ctrl-j>of two lines");
    let panels = ["", "<ctrl-k>", "<esc><f1>", "<esc><alt-k>?", "<esc><esc><ctrl-u>/outbox<enter>"];
    for keys in panels {
        app.types(keys);
        for (width, height) in [(1, 1), (20, 7), (21, 8), (40, 12), (64, 9), (108, 10), (300, 100)]
        {
            app.screen(width, height);
        }
    }
    let mut wizard = TestApp::new(None);
    for (width, height) in [(1, 1), (20, 7), (25, 8), (300, 100)] {
        wizard.screen(width, height);
    }
}

#[test]
fn a_clock_of_twelve_hours_keeps_the_columns() {
    let mut app = TestApp::in_team();
    app.reads_twelve_hours();
    looks!(app, "twelve_hours", 80 x 24);
}
