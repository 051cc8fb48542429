//! Everything the screen shows and the keys act upon. Changed only by `update`, read by `view`.

pub(crate) mod areas;
pub(crate) mod connection;
pub(crate) mod entry;
pub(crate) mod envelope;
pub(crate) mod overlay;
pub(crate) mod people;
pub(crate) mod question;
pub(crate) mod reactions;
pub(crate) mod room;
pub(crate) mod timeline;
pub(crate) mod wizard;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mathia_protocol::crypto::commit::RoomKind;
use mathia_protocol::crypto::content::{Ask, Emoji};
use mathia_protocol::id::{AccountId, RoomId, Seq};
use mathia_protocol::name::Handle;

use self::connection::Connection;
use self::entry::{ItemKey, PendingState};
use self::overlay::Overlay;
use self::people::{People, Person};
use self::question::Progress;
use self::room::Room;
use self::wizard::Wizard;
use super::action::Action;
use super::composer::Composer;
use super::join::PendingJoin;
use super::keymap::{KeyContext, Keymap};
use super::now::Now;
use super::stamp::TimeFormat;
use super::theme::Theme;
use crate::safe_text::SafeText;

/// From then on, a text without an answer is a truth about the connection.
const UNANSWERED_AFTER: Duration = Duration::from_secs(3);
/// How long after a key somebody is taken to look at a terminal that tells nothing of focus: a
/// screen of text is read in less.
const WATCHED_TIME: Duration = Duration::from_mins(2);

/// The own person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The identity.
    pub account: AccountId,
    /// The name.
    pub handle: Handle,
    /// What to call the workspace, above the rooms.
    pub workspace: String,
}

/// What the interactive client begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Columns and rows of the terminal.
    pub screen: (u16, u16),
    /// How stamps are shown.
    pub time_format: TimeFormat,
    /// The looks.
    pub theme: Theme,
    /// The keys.
    pub keymap: Keymap,
    /// The own person; `None` on the first start, which asks for link and name.
    pub me: Option<Me>,
    /// A join that was begun before and not answered, for the first start.
    pub pending_join: Option<PendingJoin>,
    /// What was being written when the client last ended, by room.
    pub drafts: Vec<(RoomId, String)>,
    /// What is wrong with the configuration.
    pub warnings: Vec<String>,
}

/// Everything the screen shows and the keys act upon.
#[derive(Debug)]
pub struct Model {
    pub(crate) now: Now,
    pub(crate) time_format: TimeFormat,
    pub(crate) screen: (u16, u16),
    /// Whether the window has the focus, as far as the terminal told; `None` until it tells.
    pub(crate) has_focus: Option<bool>,
    pub(crate) theme: Theme,
    pub(crate) keymap: Keymap,
    /// The own person; empty until the first start is over.
    pub(crate) me: Option<Me>,
    /// The first start, until it is over.
    pub(crate) wizard: Option<Wizard>,
    pub(crate) connection: Connection,
    pub(crate) rooms: BTreeMap<RoomId, Room>,
    /// Whether the engine listed the rooms: before that, "no rooms" is not known.
    pub(crate) are_rooms_known: bool,
    pub(crate) people: People,
    /// Drafts of rooms the engine has not told of yet.
    pub(crate) early_drafts: BTreeMap<RoomId, String>,
    /// The room one is in.
    pub(crate) current_room: Option<RoomId>,
    /// A room that was made or joined and is entered as soon as the engine tells of it.
    pub(crate) wanted: Option<RoomId>,
    pub(crate) composer: Composer,
    pub(crate) writing: Writing,
    /// The emoji chosen in this program, the last one first; written by `update`.
    pub(crate) used_emoji: VecDeque<Emoji>,
    pub(crate) overlays: Vec<Overlay>,
    /// The message the keys act upon, while one is selected.
    pub(crate) selected: Option<ItemKey>,
    pub(crate) notice: Option<Notice>,
    /// When the person began to look at unread messages without anything in the way.
    pub(crate) dwell_since: Option<Duration>,
    /// When the person last did anything here.
    pub(crate) active_at: Duration,
    /// Whether the others were told that the person is away.
    pub(crate) is_away: bool,
    /// When the bell last rang.
    pub(crate) rang_at: Option<Duration>,
    /// A key that does more when pressed again soon.
    pub(crate) armed: Option<Armed>,
    /// The number of the next thing made here.
    pub(crate) next_key: u64,
    /// The title the terminal shows.
    pub(crate) title: String,
    /// What is wrong with the configuration, until it is told.
    pub(crate) warnings: Vec<String>,
}

/// What belongs to the draft being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writing {
    /// When the text was last changed and is not yet saved.
    pub(crate) unsaved_since: Option<Duration>,
    /// When the others were last told that one is typing, and when the last key came.
    pub(crate) typing: Option<(Duration, Duration)>,
    /// Which of the texts written before is shown, counted from the newest.
    pub(crate) recalled: Option<usize>,
    /// The completion under way.
    pub(crate) completion: Option<Completion>,
    /// The message one asks about: it is offered in the envelope.
    pub(crate) quoted: Option<Seq>,
}

/// A completion under way: Tab again takes the next.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    /// Where the completed word begins.
    pub(crate) from: usize,
    pub(crate) candidates: Vec<String>,
    pub(crate) index: usize,
}

/// A sentence above the composer, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: SafeText,
    pub(crate) is_error: bool,
    pub(crate) until: Duration,
}

/// A key that does more when pressed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Armed {
    /// Ctrl-C again quits, until then.
    Quit(Duration),
    /// `k` selects a message, until then.
    Select(Duration),
}

impl Model {
    /// A client that has just begun.
    pub fn new(setup: Setup) -> Self {
        let wizard = setup.me.is_none().then(|| Wizard::new(setup.pending_join));
        Self {
            now: Now::default(),
            time_format: setup.time_format,
            screen: setup.screen,
            has_focus: None,
            theme: setup.theme,
            keymap: setup.keymap,
            me: setup.me,
            wizard,
            connection: Connection::default(),
            rooms: BTreeMap::new(),
            are_rooms_known: false,
            people: People::default(),
            early_drafts: setup.drafts.into_iter().collect(),
            current_room: None,
            wanted: None,
            composer: Composer::default(),
            writing: Writing::default(),
            used_emoji: VecDeque::new(),
            overlays: Vec::new(),
            selected: None,
            notice: None,
            dwell_since: None,
            active_at: Duration::ZERO,
            is_away: false,
            rang_at: None,
            armed: None,
            next_key: 1,
            title: String::new(),
            warnings: setup.warnings,
        }
    }

    /// Changes the looks.
    pub fn set_theme(&mut self, theme: Theme) {
        self.theme = theme;
    }

    /// Changes the keys.
    pub fn set_keymap(&mut self, keymap: Keymap) {
        self.keymap = keymap;
    }

    /// Changes how stamps are shown.
    pub fn set_time_format(&mut self, time_format: TimeFormat) {
        self.time_format = time_format;
    }

    /// What is being written.
    pub fn written(&self) -> &str {
        self.composer.text()
    }

    /// The room one is in, if any.
    pub fn current_room(&self) -> Option<RoomId> {
        self.current_room
    }

    /// The room one is in.
    pub(crate) fn room(&self) -> Option<&Room> {
        self.rooms.get(&self.current_room?)
    }

    /// The room one is in, to be changed.
    pub(crate) fn room_mut(&mut self) -> Option<&mut Room> {
        self.rooms.get_mut(&self.current_room?)
    }

    /// The own identity; all zero before there is one.
    pub(crate) fn my_account(&self) -> AccountId {
        self.me.as_ref().map_or(AccountId::ZERO, |me| me.account)
    }

    /// The key that does something where one writes, as people read it; `/help` if none does.
    pub(crate) fn key(&self, action: Action) -> String {
        let key = self.keymap.key_of(KeyContext::Compose, action);
        key.map_or_else(|| "/help".to_owned(), |key| key.to_string())
    }

    /// Says whether somebody looks at this screen, as far as that can be known. A terminal that
    /// never tells of focus (tmux without `focus-events`) may be hidden: there, only keys tell.
    pub(crate) fn is_watched(&self) -> bool {
        self.has_focus.unwrap_or(self.now.run < self.active_at + WATCHED_TIME)
    }

    /// Where keys are pressed now.
    pub(crate) fn key_context(&self) -> KeyContext {
        match self.overlays.last() {
            Some(Overlay::Switcher(_)) => KeyContext::List,
            Some(_) => KeyContext::Panel,
            None if self.selected.is_some() => KeyContext::Select,
            None => KeyContext::Compose,
        }
    }

    /// Says whether something is written where keys are pressed now: then letters are text.
    pub(crate) fn is_written(&self) -> bool {
        match self.overlays.last() {
            Some(Overlay::Switcher(switcher)) => !switcher.filter.is_empty(),
            Some(_) => false,
            None => self.selected.is_none() && !self.composer.is_empty(),
        }
    }

    /// The rooms of more than two, by name: a steady order, since nothing may move by itself.
    pub(crate) fn group_rooms(&self) -> Vec<&Room> {
        let is_group = |room: &&Room| room.facts.kind != RoomKind::Direct;
        let mut rooms: Vec<&Room> = self.rooms.values().filter(is_group).collect();
        rooms.sort_by_cached_key(|room| (room.facts.shown_name().to_lowercase(), room.facts.room));
        rooms
    }

    /// The direct room with a person, if there is one.
    pub(crate) fn direct_room(&self, with: AccountId) -> Option<&Room> {
        let me = self.my_account();
        self.rooms.values().find(|room| room.facts.other(me) == Some(with))
    }

    /// All rooms in the order of the sidebar: groups, then people by name.
    pub(crate) fn rooms_in_order(&self) -> Vec<RoomId> {
        let mut order: Vec<RoomId> =
            self.group_rooms().iter().map(|room| room.facts.room).collect();
        let people = self.people.in_order(self.my_account());
        let direct = people.iter().filter_map(|person| self.direct_room(person.account));
        order.extend(direct.map(|room| room.facts.room));
        order
    }

    /// What has become of a question in a room.
    pub(crate) fn progress(&self, room: &Room, seq: Seq, asked: &Ask<SafeText>) -> Progress {
        let timeline = &room.timeline;
        let is_member = room.facts.members.iter().any(|member| member.account == asked.agent);
        // Without a connection nobody knows who is here.
        let is_here = !self.connection.is_online()
            || self.people.get(asked.agent).is_some_and(Person::is_here);
        match () {
            () if timeline.is_answered(seq) => Progress::Answered,
            () if timeline.is_stopped(seq) => Progress::Stopped,
            () if !is_member => Progress::Left,
            () if !is_here => Progress::Away,
            () if timeline.answering(seq).is_some() => Progress::Coming,
            () => Progress::Waiting,
        }
    }

    /// The newest own question here, while its answer is awaited from somebody who is here.
    pub(crate) fn running_ask(&self) -> Option<Seq> {
        let room = self.room()?;
        let (seq, asked) = room.timeline.own_ask()?;
        let progress = self.progress(room, seq, asked);
        matches!(progress, Progress::Coming | Progress::Waiting).then_some(seq)
    }

    /// How many texts wait to be sent, in all rooms.
    pub(crate) fn n_queued(&self) -> usize {
        self.rooms.values().map(|room| room.timeline.n_queued()).sum()
    }

    /// How long the oldest queued text has waited, if that is so long that it tells something about
    /// the connection.
    pub(crate) fn unanswered(&self) -> Option<Duration> {
        let queued = self.rooms.values().flat_map(|room| room.timeline.pending());
        let waiting = queued.filter(|pending| !matches!(pending.state, PendingState::Failed(_)));
        let oldest = waiting.map(|pending| pending.queued_at).min()?;
        let waited = Duration::from_millis(self.now.wall.0.saturating_sub(oldest.0));
        Some(waited).filter(|waited| *waited >= UNANSWERED_AFTER)
    }

    /// Says whether a room has a draft that is not being looked at.
    pub(crate) fn has_draft(&self, room: &Room) -> bool {
        let is_here = self.current_room == Some(room.facts.room);
        let text = if is_here { self.composer.text() } else { &room.draft };
        !text.trim().is_empty() && !is_here
    }
}
