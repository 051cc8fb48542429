//! The core of the client: decides, and does nothing.
//!
//! [`Core::handle`] takes what happened, the time and randomness, and returns what is to be done. No
//! clock, socket, disk, task or channel is in here, so that whole networks of clients can be run from
//! one seed. The rules of logs and keys are those of `log` and `crypto`; nothing here has an opinion of
//! its own about what is valid.
//!
//! What is known lies with six owners, each knowing only those before it:
//!
//! ```text
//! account → identities → rooms → membership → sender → asks
//! ```
//!
//! What takes more than one input is a [`work::Step`]. It is polled after every input, looks whether its
//! answer came, and never waits.

#![expect(
    clippy::large_enum_variant,
    reason = "a step is boxed whole: its stages need no boxes of their own"
)]

mod account;
mod asks;
mod commands;
mod context;
mod identities;
mod io;
mod maintain;
mod membership;
mod resume;
mod rooms;
mod sender;
mod server_call;
mod signal;
mod state;
mod work;

use std::sync::Arc;
use std::task::{Poll, ready};

use rand::rngs::StdRng;

pub use super::events::Backlog;

pub use self::account::Settings;
pub use self::io::{
    BulkFailure, BulkId, CallError, CallId, CommandId, ConnectFailure, Found, Input, Now, Output,
    Page, Query, ReadId, SealId, SealOrder, WriteId,
};

use self::account::Account;
use self::asks::card::ReadCards;
use self::asks::rotate::RotateForAnswers;
use self::context::{Context, Tickets};
use self::identities::Identities;
use self::identities::fetch::RefreshChain;
use self::maintain::{KeepTime, Maintain};
use self::membership::answer_keys::AnswerKeys;
use self::membership::fetch_keys::FetchKeys;
use self::membership::invites::Admit;
use self::membership::reopen::Reopen;
use self::resume::Resume;
use self::rooms::Rooms;
use self::rooms::enter::Enter;
use self::rooms::expire::Expire;
use self::rooms::ingest::{Ingest, Reload, emit_entries};
use self::rooms::marks::{SendDelivered, SendRead};
use self::rooms::older::StoreOlder;
use self::rooms::reactions::EmitReactions;
use self::rooms::read_log::{ReadBack, ReadForward, Recall};
use self::rooms::ticks::CheckTicks;
use self::rooms::views::{EmitRooms, Views};
use self::sender::send::Send;
use self::signal::Signal;
use self::state::State;
use self::work::{Step, Work, Works};
use super::event::ClientEvent;
use super::identity::Identity;
use super::record::{Contact, ServerRecord};
use super::replica::LoadedRoom;
use crate::crypto::card::AgentCard;
use crate::crypto::user_chain::UserChain;
use crate::id::{RoomId, Seq};
use crate::wire::{ChainHeadLine, EntryBody, Event, KeyAnswer, LogEntry};

/// What the replica has at the start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The server, once it was reached.
    pub server: Option<ServerRecord>,
    /// User chains, verified.
    pub chains: Vec<UserChain>,
    /// Pinned people.
    pub contacts: Vec<Contact>,
    /// Cards of agents, verified when they came.
    pub cards: Vec<AgentCard>,
    /// Rooms without their entries.
    pub rooms: Vec<LoadedRoom>,
}

/// One client: everything it knows, and everything that is at work.
#[derive(Debug)]
pub struct Core {
    state: State,
    works: Works,
    tickets: Tickets,
}

impl Core {
    /// A client that has loaded its replica and not begun; give it [`Input::Start`] first.
    pub fn new(identity: Identity, loaded: Loaded, settings: Settings) -> Self {
        let account = Account::new(Arc::new(identity), loaded.server, settings);
        let identities = Identities::new(loaded.chains, loaded.contacts, loaded.cards);
        let rooms = Rooms::new(loaded.rooms, account.device);
        let state = State {
            account,
            identities,
            rooms,
            membership: membership::Membership::default(),
            outbox: sender::Outbox::default(),
            asks: asks::Asks::default(),
        };
        Self { state, works: Works::default(), tickets: Tickets::default() }
    }

    /// Takes in what happened; what is to be done, in this order.
    ///
    /// [`Output::WakeAt`] comes last, at most once, and replaces the one before.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut StdRng) -> Vec<Output> {
        let mut cx = Context::new(now, rng, &mut self.tickets);
        cx.end_stuck_session();
        if let Input::Command(id, command) = input {
            match commands::begin(command, &mut self.state, &mut cx) {
                Ok(step) => self.works.begin_command(id, step),
                Err(outcome) => cx.output(Output::Answer(id, outcome)),
            }
        } else {
            self.state.accept(input, &mut cx);
        }
        self.works.run(&mut self.state, &mut cx);
        self.state.show_connection(&mut cx);
        cx.finish()
    }
}

impl Core {
    /// Whether something is under way that the server should still be told before the end.
    pub fn is_saying_goodbye(&self) -> bool {
        self.tickets.is_online && self.works.is_at(&Work::SendDelivered)
    }
}

impl State {
    fn accept(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Start => self.start(cx),
            Input::Replay(backlog) => cx.start(Work::Replay(backlog.room, backlog.from)),
            Input::Connected { pin, welcome, rtt } => {
                self.account.connected(pin, &welcome, rtt, cx);
            }
            Input::ConnectFailed(failure) => self.account.connect_failed(failure, cx),
            Input::TrustDecided(is_trusted) => self.account.trust_decided(is_trusted, cx),
            Input::Disconnected { cause } => self.disconnected(cause, cx),
            Input::RoundTrip(rtt) => self.account.measured(rtt, cx),
            Input::Reply(id, reply) => cx.deliver_reply(id, reply),
            Input::Page(id, page) => cx.deliver_page(id, page),
            Input::Event(event) => self.accept_event(event, cx),
            Input::Datagram(datagram) => self.rooms.accept_typing(&datagram, &self.account, cx),
            Input::Read(id, found) => cx.deliver_found(id, found),
            Input::Written(id, written) => {
                self.outbox.written(id, &written, cx);
                cx.deliver_written(id, written);
            }
            Input::Sealed(id, rows) => cx.deliver_sealed(id, rows),
            Input::OutboxChanged(rows) => {
                for row in rows {
                    self.outbox.accept_row(row, cx);
                }
            }
            Input::DrainTaken => {
                self.account.is_drainer = true;
                self.outbox.send_all(cx);
                cx.start_once(Work::Maintain);
            }
            Input::IdentitySaved(saved) => {
                self.account.saved = Some(saved);
                cx.changed();
            }
            Input::Stopping => {
                self.account.is_stopping = true;
                // What arrived just now counts as delivered, also if this was a short visit.
                cx.start_once(Work::SendDelivered);
            }
            Input::Command(..) | Input::Wake => {}
        }
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        let rooms: Vec<RoomId> = self.rooms.joined().map(|room| room.id).collect();
        for id in rooms {
            self.rooms.show(id, cx);
        }
        for work in [Work::Connection, Work::KeepTime, Work::Expire] {
            cx.start_once(work);
        }
    }

    fn disconnected(&mut self, cause: String, cx: &mut Context<'_>) {
        self.account.disconnected(cause, cx);
        self.rooms.disconnected(cx);
        for view in self.identities.lose_presence() {
            cx.emit(ClientEvent::Presence(view));
        }
    }

    /// Reports how the connection stands if that changed.
    fn show_connection(&mut self, cx: &mut Context<'_>) {
        let is_caught_up = self.account.is_resumed && self.rooms.are_caught_up();
        self.account.emit_connection(is_caught_up, cx);
        for account in std::mem::take(&mut self.identities.questioned) {
            self.rooms.show_with(account, cx);
        }
    }

    fn accept_event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Entry { room, seq, time, entry } => {
                if let Some(id) = self.rooms.by_number(room) {
                    let body = EntryBody::Whole(entry);
                    self.rooms.accept_live(id, LogEntry { seq, time, body }, cx);
                }
            }
            Event::Room(head) => self.rooms.accept_head(&head, self.account.device, cx),
            Event::RoomGone { room } => {
                self.rooms.gone(room, cx);
                cx.signal(Signal::Gone(room));
            }
            Event::Lagged { room, next_seq } => {
                if let Some(id) = self.rooms.by_number(room) {
                    self.rooms.reread(id, next_seq, cx);
                }
            }
            Event::Marks { room, delivered, read } => {
                self.rooms.accept_marks(room, (delivered, read), cx);
            }
            Event::Ticks { room, ticks } => self.rooms.accept_ticks(room, ticks, cx),
            Event::OwnMark { room, read_upto, n_unread } => {
                if let Some(id) = self.rooms.by_number(room) {
                    self.rooms.accept_own_mark(id, read_upto, n_unread, cx);
                }
            }
            Event::Presence { lines } => {
                for line in &lines {
                    let view = self.identities.see(line);
                    cx.emit(ClientEvent::Presence(view));
                }
            }
            Event::KeysAsked { room, account, device, epochs } => {
                cx.start(Work::AnswerKeys(room, account, device, epochs));
            }
            Event::Key { room, epoch, hpke_gen, sealed } => {
                self.accept_key(room, &KeyAnswer { epoch, hpke_gen, sealed }, cx);
                cx.signal(Signal::KeysChanged(room));
                cx.start(Work::FetchKeys(room));
            }
            Event::Granted { room } => cx.start(Work::FetchKeys(room)),
            Event::ChainGrew { account, seq, hash } => {
                if !self.identities.is_known(&ChainHeadLine { account, seq, hash }) {
                    cx.start(Work::RefreshChain(account));
                }
            }
            Event::Joined { .. } => cx.start(Work::Admit),
            Event::ScheduleDropped { room, cause, .. } => {
                let text = format!("a scheduled message was not sent: {cause:?}");
                cx.emit(ClientEvent::ScheduleDropped { room, text });
            }
            Event::Stopping { .. } => {}
            Event::Delta { room, account, device, delta } => {
                if let Some(id) = self.rooms.by_number(room) {
                    self.accept_delta(id, (account, device), &delta, cx);
                }
            }
        }
    }
}

/// What follows from what an owner signalled, for the owners below it.
fn react(signal: Signal, state: &mut State, cx: &mut Context<'_>) {
    match signal {
        Signal::OwnMessage { room, counter, seq, time, digest } => {
            state.outbox.own_message((room, counter), digest, (seq, time), cx);
        }
        Signal::Entry { room, entry } => state.asks.entry_stored(room, &entry),
        Signal::Shown { room, seqs } => {
            if !seqs.is_empty() {
                cx.start(Work::EmitShown(room, seqs));
            }
        }
        Signal::Committed(room) => {
            let Some(one) = state.rooms.all.get(&room) else { return };
            state.outbox.fail_lost(room, |account| one.member(account).is_some(), cx);
            cx.start(Work::RotateForAnswers(room));
            cx.start(Work::ReadCards(room));
        }
        Signal::KeysChanged(room) => cx.start(Work::Reopen(room)),
        Signal::Gone(room) => {
            state.outbox.fail_all(room, "you are no longer in this room", cx);
        }
    }
}

/// Makes the step of a piece of work.
fn begin(work: &Work) -> Box<dyn Step<Output = ()>> {
    match work.clone() {
        Work::Connection => Box::new(Connection),
        Work::KeepTime => Box::new(KeepTime::new()),
        Work::Resume => Box::new(Resume::new()),
        Work::Ingest(room) => Box::new(Ingest::of(room)),
        Work::Enter(room) => Box::new(Enter::of(room)),
        Work::ReadForward(room, after, count) => Box::new(ReadForward::new(room, after, count)),
        Work::ReadBack(room, before, count) => Box::new(ReadBack::new(room, before, count)),
        Work::Recall(room) => Box::new(Recall::of(room)),
        Work::StoreOlder(room) => Box::new(StoreOlder::of(room)),
        Work::Reload(room) => Box::new(Reload::of(room)),
        Work::FetchKeys(room) => Box::new(FetchKeys::of(room)),
        Work::AnswerKeys(room, account, device, epochs) => {
            Box::new(AnswerKeys::new(room, account, device, epochs))
        }
        Work::Reopen(room) => Box::new(Reopen::of(room)),
        Work::CheckTicks(room) => Box::new(CheckTicks::of(room)),
        Work::RefreshChain(account) => Box::new(RefreshChain::of(account)),
        Work::ReadCards(room) => Box::new(ReadCards::of(room)),
        Work::EmitShown(room, seqs) => Box::new(EmitEntries::shown(room, seqs)),
        Work::EmitReactions(room, target) => Box::new(EmitReactions::to(room, target)),
        Work::Replay(room, from) => Box::new(Replay::new(Backlog { room, from })),
        Work::Send(room) => Box::new(Send::to(room)),
        Work::RotateForAnswers(room) => Box::new(RotateForAnswers::of(room)),
        Work::SendDelivered => Box::new(SendDelivered::new()),
        Work::SendRead(room) => Box::new(SendRead::of(room)),
        Work::EmitRooms => Box::new(EmitRooms),
        Work::Admit => Box::new(Admit::new()),
        Work::Maintain => Box::new(Maintain::new()),
        Work::Expire => Box::new(Expire::new()),
    }
}

/// Keeps a session as long as the core lives.
#[derive(Debug)]
struct Connection;

impl Step for Connection {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        state.account.connect_when_due(cx);
        Poll::Pending
    }
}

/// Emits stored entries once more, since something about them changed.
#[derive(Debug)]
struct EmitEntries {
    room: RoomId,
    seqs: Vec<Seq>,
    read: Option<ReadId>,
}

impl EmitEntries {
    fn shown(room: RoomId, seqs: Vec<Seq>) -> Self {
        Self { room, seqs, read: None }
    }
}

impl Step for EmitEntries {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.room;
        let read = *self.read.get_or_insert_with(|| {
            let seqs = std::mem::take(&mut self.seqs);
            cx.read(Query::Entries { room, seqs })
        });
        if let Ok(entries) = ready!(cx.found_entries(read)) {
            let State { account, identities, rooms, .. } = state;
            emit_entries((account, identities, rooms), room, &entries, cx);
        }
        Poll::Ready(())
    }
}

/// Gives entries again that a slow face has missed.
#[derive(Debug)]
struct Replay {
    backlog: Backlog,
    read: Option<ReadId>,
}

impl Replay {
    fn new(backlog: Backlog) -> Self {
        Self { backlog, read: None }
    }
}

impl Step for Replay {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let Backlog { room, from } = self.backlog;
        let read = *self.read.get_or_insert_with(|| {
            let after = Seq(from.0.saturating_sub(1));
            cx.read(Query::After { room, after, count: super::events::REPLAY_MAX })
        });
        let records = match ready!(cx.found_entries(read)) {
            Ok(records) => records,
            Err(error) => {
                cx.storage_failed(&error);
                Vec::new()
            }
        };
        let is_full = u32::try_from(records.len()) == Ok(super::events::REPLAY_MAX);
        let next = records.last().filter(|_| is_full).map(|last| last.seq.next());
        let State { account, identities, rooms, .. } = state;
        let views = Views { account, identities };
        let entries = match rooms.all.get(&room) {
            Some(one) => records.iter().map(|record| views.entry(one, record)).collect(),
            None => Vec::new(),
        };
        cx.output(Output::Replayed(self.backlog, entries, next));
        Poll::Ready(())
    }
}
