//! The interactive client without a terminal: keys and events in, drawings and effects out.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use mathia_protocol::client::{ClientEvent, Command, ConnectionState, Done, EntryView, RoomView};
use mathia_protocol::id::{RoomId, TimeMs};
use mathia_tui::app::effect::{CommandTag, Effect};
use mathia_tui::app::join::PendingJoin;
use mathia_tui::app::keymap::Keymap;
use mathia_tui::app::me::Me;
use mathia_tui::app::message::Msg;
use mathia_tui::app::model::{Model, Setup};
use mathia_tui::app::now::Now;
use mathia_tui::app::stamp::TimeFormat;
use mathia_tui::app::theme::{Depth, Theme, Tone};
use mathia_tui::app::update::{start, update};
use mathia_tui::app::view::draw;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::cast;

pub(crate) struct TestApp {
    pub(crate) model: Model,
    now: Now,
    /// Everything the core wanted done so far.
    pub(crate) effects: Vec<Effect>,
}

impl TestApp {
    /// A client of ann that knows nothing yet.
    pub(crate) fn new(me: Option<Me>) -> Self {
        Self::with(me, None)
    }

    /// A first start after a join that was never answered.
    pub(crate) fn pending_join(pending_join: PendingJoin) -> Self {
        Self::with(None, Some(pending_join))
    }

    fn with(me: Option<Me>, pending_join: Option<PendingJoin>) -> Self {
        let setup = Setup {
            screen: (80, 24),
            time_format: TimeFormat { zone: TimeZone::UTC, is_24h: true },
            theme: Theme { depth: Depth::True, tone: Tone::Dark },
            keymap: Keymap::default(),
            me,
            pending_join,
            drafts: Vec::new(),
            warnings: Vec::new(),
        };
        let mut model = Model::new(setup);
        let effects = start(&mut model);
        let now = Now { wall: TimeMs(cast::NOW), run: Duration::from_secs(10) };
        Self { model, now, effects }
    }

    pub(crate) fn ann() -> Me {
        let handle = "ann".parse().expect("a plain name");
        Me { account: cast::ANN, handle, workspace: "Heron & Co".to_owned() }
    }

    /// Ann's client, online, in the first of these rooms, with what was said there.
    pub(crate) fn in_rooms(rooms: Vec<RoomView>, entries: Vec<EntryView>) -> Self {
        let mut app = Self::new(Some(Self::ann()));
        app.online();
        app.answers(CommandTag::People, Done::People(cast::people()));
        let first = rooms[0].room;
        app.answers(CommandTag::Rooms, Done::Rooms(rooms));
        app.loads(first, entries);
        app
    }

    /// Ann's client in the usual workspace, in the team's room.
    pub(crate) fn in_team() -> Self {
        let mut app = Self::in_rooms(cast_rooms(), cast::conversation());
        app.tells(ClientEvent::Marks { room: cast::TEAM, marks: cast::marks(6, 5) });
        app
    }

    /// Reads the clock as half the world does.
    pub(crate) fn reads_twelve_hours(&mut self) {
        self.model.set_time_format(TimeFormat { zone: TimeZone::UTC, is_24h: false });
    }

    /// Changes the looks.
    pub(crate) fn looks(&mut self, theme: Theme) {
        self.model.set_theme(theme);
    }

    pub(crate) fn online(&mut self) {
        let rtt = Duration::from_millis(24);
        let online = ConnectionState::Online { rtt, is_caught_up: true };
        self.tells(ClientEvent::Connection(online));
    }

    pub(crate) fn offline(&mut self) {
        let cause = "the server does not answer".to_owned();
        let offline = ConnectionState::Offline { retry_in: Duration::from_secs(5), cause };
        self.tells(ClientEvent::Connection(offline));
    }

    pub(crate) fn tells(&mut self, event: ClientEvent) {
        self.send(Msg::Client(event));
    }

    pub(crate) fn answers(&mut self, tag: CommandTag, done: Done) {
        self.send(Msg::Answer { tag, result: Ok(done) });
    }

    pub(crate) fn loads(&mut self, room: RoomId, entries: Vec<EntryView>) {
        let ask = CommandTag::Timeline { room, before: mathia_protocol::id::Seq(0) };
        self.answers(ask, Done::Timeline { entries, has_more: false });
    }

    pub(crate) fn send(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.model, self.now, msg));
    }

    /// Time passes, in the steps the model asks for.
    pub(crate) fn waits(&mut self, time: Duration) {
        let until = self.now.run + time;
        while let Some(due) = mathia_tui::app::update::next_deadline(&self.model) {
            if due > until {
                break;
            }
            self.pass(due.saturating_sub(self.now.run).max(Duration::from_millis(1)));
        }
        let left = until.saturating_sub(self.now.run);
        self.pass(left);
    }

    fn pass(&mut self, time: Duration) {
        self.now.run += time;
        self.now.wall.0 += u64::try_from(time.as_millis()).expect("tests are short");
        self.send(Msg::Tick);
    }

    /// Types text; names between angle brackets are keys: `hello<enter><ctrl-k>`.
    pub(crate) fn types(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let key = if let Some((name, after)) =
                rest.strip_prefix('<').and_then(|r| r.split_once('>'))
            {
                rest = after;
                named(name)
            } else {
                rest = &rest[c.len_utf8()..];
                KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
            };
            self.send(Msg::Key(key));
        }
    }

    /// The screen at a size, as text. A `▮` stands where the terminal's cursor is.
    pub(crate) fn screen(&mut self, width: u16, height: u16) -> String {
        self.send(Msg::Resize(width, height));
        let mut terminal =
            Terminal::new(TestBackend::new(width, height)).expect("a buffer is always there");
        terminal.draw(|frame| draw(&self.model, frame)).expect("a buffer takes everything");
        text_of(&terminal)
    }

    /// The commands the core gave to the engine since last asked, as their variants' names.
    pub(crate) fn commands(&mut self) -> Vec<Command> {
        let effects = std::mem::take(&mut self.effects);
        let commands = effects.into_iter().filter_map(|effect| match effect {
            Effect::Command { command, .. } => Some(command),
            _ => None,
        });
        commands.collect()
    }
}

/// The rooms of the usual workspace.
pub(crate) fn cast_rooms() -> Vec<RoomView> {
    let train = RoomView { ..cast::room(cast::TRAIN, "release-train") };
    let with_cleo = RoomView { n_unread: 1, ..cast::direct(cast::WITH_CLEO, cast::CLEO) };
    let mut team = cast::team();
    team.n_mentions = 1;
    team.n_unread = 2;
    team.read_upto = mathia_protocol::id::Seq(6);
    vec![
        cast::with_assistant(team),
        train,
        cast::lobby(),
        cast::direct(cast::WITH_BOB, cast::BOB),
        with_cleo,
    ]
}

fn named(name: &str) -> KeyEvent {
    let (mut modifiers, mut rest) = (KeyModifiers::NONE, name);
    for (prefix, modifier) in [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT)] {
        if let Some(after) = rest.strip_prefix(prefix) {
            (modifiers, rest) = (modifiers | modifier, after);
        }
    }
    let code = match rest {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "backspace" => KeyCode::Backspace,
        "f1" => KeyCode::F(1),
        "f2" => KeyCode::F(2),
        one => KeyCode::Char(one.chars().next().expect("a key has a name")),
    };
    KeyEvent::new(code, modifiers)
}

fn text_of(terminal: &Terminal<TestBackend>) -> String {
    let backend = terminal.backend();
    let buffer = backend.buffer();
    let cursor = backend.cursor_visible().then(|| backend.cursor_position());
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut skip = 0;
        let mut row = String::new();
        for x in 0..buffer.area.width {
            if cursor.is_some_and(|cursor| (cursor.x, cursor.y) == (x, y)) && skip == 0 {
                let symbol = buffer[(x, y)].symbol();
                row.push('▮');
                if symbol != " " {
                    row.push_str(symbol);
                }
                skip = width_of(symbol).saturating_sub(1);
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = width_of(symbol).saturating_sub(1);
            row.push_str(symbol);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn width_of(symbol: &str) -> usize {
    mathia_tui::app::wrap::width(symbol)
}
