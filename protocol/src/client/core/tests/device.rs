//! One device: a core, its replica, and what its faces and the network see of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::super::io::{
    BulkId, CommandId, ConnectFailure, Input, Now, Output, Page, ReadId, SealId, WriteId,
};
use super::super::{Backlog, Core, Settings};
use crate::client::event::{
    AlarmCause, ClientEvent, ConnectionState, EntryView, OutboxState, OutboxView, RoomView,
};
use crate::client::replica::{DrainGuard, Replica, StorageError, Write};
use crate::client::shell::{carry_out, load};
use crate::client::{CommandError, Done, EntryContent, Identity};
use crate::crypto::content::Content;
use crate::id::{Epoch, RoomId, Seq, TimeMs};
use crate::wire::{ClientDatagram, Request};

/// How long a command waits for the server.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Which jobs of the disk fail next.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) n_failing_writes: usize,
    pub(super) n_failing_reads: usize,
    pub(super) n_failing_seals: usize,
    pub(super) is_save_failing: bool,
    /// Epochs whose secrets were wiped.
    pub(super) wiped: Vec<Epoch>,
    /// Whether what was done is answered only later.
    pub(super) is_slow: bool,
}

/// One process of one device.
pub(super) struct Device {
    pub(super) core: Core,
    pub(super) identity: Arc<Identity>,
    pub(super) settings: Settings,
    pub(super) replica: Replica,
    pub(super) disk: Disk,
    rng: StdRng,
    guard: Option<Box<dyn DrainGuard>>,
    /// The newest change of the outbox that was looked at.
    change: Option<u64>,
    /// What the disk answered.
    pub(super) stored: VecDeque<Input>,
    /// What the session said.
    pub(super) inbox: VecDeque<Input>,
    /// What is to be done outside: connecting, calls, long reads.
    pub(super) outside: VecDeque<Output>,
    pub(super) bulks: HashMap<BulkId, VecDeque<Page>>,
    /// How the next attempts to connect fail.
    pub(super) failures: VecDeque<ConnectFailure>,
    pub(super) is_unreachable: bool,
    pub(super) wake_at: Option<Duration>,
    /// This machine's clock is ahead of the server's by this many milliseconds.
    pub(super) ahead_ms: u64,
    pub(super) events: Vec<ClientEvent>,
    pub(super) answers: HashMap<CommandId, Result<Done, CommandError>>,
    pub(super) calls: Vec<Request>,
    pub(super) datagrams: Vec<ClientDatagram>,
    pub(super) n_attempts: usize,
    pub(super) n_disconnects: usize,
    pub(super) words: Option<String>,
    pub(super) replayed: Vec<(Backlog, Vec<EntryView>, Option<Seq>)>,
}

impl Device {
    pub(super) fn new(identity: Identity, replica: Replica, settings: Settings, seed: u64) -> Self {
        let identity = Arc::new(identity);
        let loaded = load(&replica).unwrap();
        let core = Core::new(identity.duplicate(), loaded, settings.clone());
        Self {
            core,
            identity,
            settings,
            replica,
            disk: Disk::default(),
            rng: StdRng::seed_from_u64(seed),
            guard: None,
            change: None,
            stored: VecDeque::new(),
            inbox: VecDeque::new(),
            outside: VecDeque::new(),
            bulks: HashMap::new(),
            failures: VecDeque::new(),
            is_unreachable: false,
            wake_at: None,
            ahead_ms: 0,
            events: Vec::new(),
            answers: HashMap::new(),
            calls: Vec::new(),
            datagrams: Vec::new(),
            n_attempts: 0,
            n_disconnects: 0,
            words: None,
            replayed: Vec::new(),
        }
    }

    /// Forgets everything that is not stored, as after a crash.
    pub(super) fn crash(&mut self) {
        let loaded = load(&self.replica).unwrap();
        self.core = Core::new(self.identity.duplicate(), loaded, self.settings.clone());
        self.guard = None;
        self.change = None;
        self.stored.clear();
        self.inbox.clear();
        self.outside.clear();
        self.bulks.clear();
        self.wake_at = None;
        self.events.clear();
    }

    /// Gives the core an input; what it wants done outside waits in `outside`.
    pub(super) fn handle(&mut self, input: Input, server_time: TimeMs, uptime: Duration) {
        let now = Now { time: TimeMs(server_time.0 + self.ahead_ms), uptime };
        self.wake_at = None;
        for output in self.core.handle(input, now, &mut self.rng) {
            match output {
                Output::Read(..) | Output::Write(..) | Output::Seal(..) => {
                    let answer = self.store(output);
                    self.stored.push_back(answer);
                }
                Output::SaveIdentity(identity) => {
                    let saved = if std::mem::take(&mut self.disk.is_save_failing) {
                        Err("the disk is full".to_owned())
                    } else {
                        self.identity = identity;
                        Ok(())
                    };
                    self.stored.push_back(Input::IdentitySaved(saved));
                }
                Output::Event(event) => self.events.push(event),
                Output::Answer(id, answer) => {
                    assert!(self.answers.insert(id, answer).is_none(), "answered twice");
                }
                Output::AskTrust { words, .. } => self.words = Some(words),
                Output::Datagram(datagram) => self.datagrams.push(datagram),
                Output::Replayed(backlog, entries, next) => {
                    self.replayed.push((backlog, entries, next));
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                output => self.outside.push_back(output),
            }
        }
    }

    /// Carries out a job of the disk, unless it is to fail.
    fn store(&mut self, output: Output) -> Input {
        let fails = |n_failing: &mut usize| {
            let is_failing = *n_failing > 0;
            *n_failing = n_failing.saturating_sub(1);
            is_failing
        };
        if let Output::Write(_, writes) = &output {
            self.disk.wiped.extend(writes.iter().filter_map(|write| match write {
                Write::WipeEpoch { epoch, .. } => Some(*epoch),
                _ => None,
            }));
        }
        match output {
            Output::Write(id, _) if fails(&mut self.disk.n_failing_writes) => {
                Input::Written(WriteId(id.0), Err(StorageError::Full))
            }
            Output::Read(id, _) if fails(&mut self.disk.n_failing_reads) => {
                Input::Read(ReadId(id.0), Err(StorageError::Busy))
            }
            Output::Seal(id, _) if fails(&mut self.disk.n_failing_seals) => {
                Input::Sealed(SealId(id.0), Err(StorageError::Full))
            }
            output => carry_out(&self.replica, output).unwrap(),
        }
    }

    /// What other processes of this device did, and whether this one sends from now on.
    pub(super) fn look(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.guard.is_none() {
            self.guard = self.replica.try_lock_drain().unwrap();
            inputs.extend(self.guard.is_some().then_some(Input::DrainTaken));
        }
        let Some(mut change) = self.change else {
            self.change = Some(self.replica.last_outbox_change().unwrap());
            let rows = self.replica.outbox(None).unwrap();
            inputs.extend((!rows.is_empty()).then_some(Input::OutboxChanged(rows)));
            return inputs;
        };
        loop {
            let rows;
            (rows, change) = self.replica.outbox_changes(change).unwrap();
            self.change = Some(change);
            if rows.is_empty() {
                return inputs;
            }
            inputs.push(Input::OutboxChanged(rows));
        }
    }

    /// Lets another process of this device send.
    pub(super) fn let_go_of_drain(&mut self) {
        self.guard = None;
    }

    // ---- what faces saw ------------------------------------------------------------------------

    pub(super) fn connection(&self) -> Option<&ConnectionState> {
        self.events.iter().rev().find_map(|event| match event {
            ClientEvent::Connection(state) => Some(state),
            _ => None,
        })
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.connection(), Some(ConnectionState::Online { .. }))
    }

    pub(super) fn is_caught_up(&self) -> bool {
        matches!(self.connection(), Some(ConnectionState::Online { is_caught_up: true, .. }))
    }

    /// Alarms so far.
    pub(super) fn alarms(&self) -> Vec<AlarmCause> {
        let alarm = |event: &ClientEvent| match event {
            ClientEvent::Alarm { cause, .. } => Some(*cause),
            _ => None,
        };
        self.events.iter().filter_map(alarm).collect()
    }

    pub(super) fn notices(&self) -> Vec<&str> {
        let texts = self.events.iter().filter_map(|event| match event {
            ClientEvent::Notice { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The states of a row of the outbox, in the order of their events.
    pub(super) fn states(&self, local_id: u64) -> Vec<OutboxState> {
        self.outbox_events()
            .filter(|view| view.local_id == local_id)
            .map(|v| v.state.clone())
            .collect()
    }

    pub(super) fn outbox_events(&self) -> impl Iterator<Item = &OutboxView> {
        self.events.iter().filter_map(|event| match event {
            ClientEvent::Outbox(view) => Some(view),
            _ => None,
        })
    }

    /// The newest view of a room.
    pub(super) fn room(&self, room: RoomId) -> Option<&RoomView> {
        self.events.iter().rev().find_map(|event| match event {
            ClientEvent::Room(view) if view.room == room => Some(&**view),
            _ => None,
        })
    }

    /// Entry events of a room.
    pub(super) fn entries(&self, room: RoomId) -> impl Iterator<Item = &EntryView> {
        self.events.iter().filter_map(move |event| match event {
            ClientEvent::Entry(entry) if entry.room == room => Some(&**entry),
            _ => None,
        })
    }
}

/// The text of an entry.
pub(super) fn text_of(entry: &EntryView) -> Option<String> {
    match &entry.content {
        EntryContent::Said(Content::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

/// How a server that nothing vouches for fails a first contact.
pub(super) fn unvouched(pin: crate::id::Hash) -> ConnectFailure {
    let words = crate::client::pin_words(pin);
    ConnectFailure::Unvouched { pin, words }
}
