//! Several devices and their server, moved by hand: nothing happens but what a test lets happen.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::super::Settings;
use super::super::io::{BulkFailure, CallError, CallId, ConnectFailure, Input, Output};
use super::device::{Device, PATIENCE};
use super::server::Server;
use crate::client::register::{Applicant, found};
use crate::client::replica::Replica;
use crate::client::{Command, Expected, HpkeEntry, Identity};
use crate::crypto::identity::SigningKey;
use crate::crypto::user_chain::{AccountKind, DeviceLabel, DeviceRecord, LinkBody};
use crate::id::{AccountId, RoomId, TimeMs};
use crate::wire::{Event, Fault, Reply, Request, SessionLimits, Welcome};

/// When every story begins.
pub(super) const BEGIN: TimeMs = TimeMs(1_700_000_000_000);
/// More inputs than any story needs before everything is quiet: behind it something goes in circles.
const INPUTS_MAX: usize = 100_000;

/// A device of the town.
pub(super) type Who = usize;

/// What happens to a call instead of an honest answer.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is refused.
    Refuse(Fault),
    /// It is answered so, and not carried out.
    Answer(Reply),
    /// The session ends before it arrives.
    CutBefore,
    /// It is carried out, and the session ends before the answer arrives.
    CutAfter,
    /// It is not carried out, and never answered.
    Silence,
    /// It is carried out, and the answer is kept back until [`Town::release`].
    Hold,
}

type Tamper = Box<dyn FnMut(Who, &Request) -> Option<Fate>>;
type Filter = Box<dyn FnMut(Who, Input) -> Vec<Input>>;

/// Everybody.
pub(super) struct Town {
    pub(super) server: Server,
    pub(super) devices: Vec<Device>,
    pub(super) uptime: Duration,
    pub(super) tamper: Option<Tamper>,
    pub(super) filter: Option<Filter>,
    pub(super) held: Vec<(Who, Input)>,
    pub(super) last_command: u64,
    rng: StdRng,
}

impl Town {
    pub(super) fn new() -> Self {
        Self {
            server: Server::new(BEGIN),
            devices: Vec::new(),
            uptime: Duration::ZERO,
            tamper: None,
            filter: None,
            held: Vec::new(),
            last_command: 0,
            rng: StdRng::seed_from_u64(5),
        }
    }

    /// People with a device each, registered, connected and caught up.
    pub(super) fn with<const N: usize>(handles: [&str; N]) -> (Self, [Who; N]) {
        let mut town = Self::new();
        let people = handles.map(|handle| town.joins(handle));
        (town, people)
    }

    /// The same with a room that the first of them made.
    pub(super) fn with_room<const N: usize>(handles: [&str; N]) -> (Self, [Who; N], RoomId) {
        let (mut town, people) = Self::with(handles);
        let room = town.makes_room(people[0], &people[1..]);
        (town, people, room)
    }

    /// Somebody registers and connects.
    pub(super) fn joins(&mut self, handle: &str) -> Who {
        let identity = self.registers(handle, AccountKind::Human);
        self.starts(identity, Replica::in_memory())
    }

    /// An agent registers and connects.
    pub(super) fn agent_joins(&mut self, handle: &str) -> Who {
        let identity = self.registers(handle, AccountKind::Agent);
        self.starts(identity, Replica::in_memory())
    }

    /// Somebody makes an account.
    pub(super) fn registers(&mut self, handle: &str, kind: AccountKind) -> Identity {
        let label =
            DeviceLabel { name: handle.into(), os: "linux".into(), created: self.server.now };
        let operator = String::new();
        let applicant = Applicant { handle: handle.parse().unwrap(), label, kind, operator };
        let (identity, genesis) = found(&mut self.rng, self.server.realm, applicant);
        self.server.register(&genesis);
        identity
    }

    /// A process of a device starts and connects.
    pub(super) fn starts(&mut self, identity: Identity, replica: Replica) -> Who {
        let who = self.add_device(identity, replica, |settings| settings);
        self.give(who, Input::Start);
        self.settle();
        who
    }

    /// A process of a device that was not started yet.
    pub(super) fn add_device(
        &mut self,
        identity: Identity,
        replica: Replica,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Who {
        let who = self.devices.len();
        let settings = change(Settings {
            address: "town.example:4433".into(),
            invite_pin: None,
            has_trust_ask: false,
            patience: PATIENCE,
        });
        self.devices.push(Device::new(identity, replica, settings, who as u64));
        who
    }

    /// Another device of an account: its identity, in the account's chain.
    pub(super) fn adds_device(&mut self, of: Who) -> Identity {
        let (signing, created) = (SigningKey::generate(&mut self.rng), self.server.now);
        let hpke = HpkeEntry::generate(&mut self.rng, 1, created);
        let old = &self.devices[of].identity;
        let account = old.account;
        let label = DeviceLabel { name: "phone".into(), os: "linux".into(), created };
        let public = hpke.secret.public();
        let record = DeviceRecord::offer(&mut self.rng, &signing, public, label, account, [9; 16]);
        let body = LinkBody::AddDevice(Box::new(record));
        let chain = &self.server.chains[&account];
        let link = chain.next_link(body, created, old.device()).sign(&old.signing);
        let (handle, realm) = (old.handle.clone(), old.realm);
        self.server.put_link(account, link).unwrap();
        Identity { account, handle, realm, signing, hpke: vec![hpke], recovery: None }
    }

    /// Loads a device anew from its replica, as after a crash.
    pub(super) fn restart(&mut self, who: Who) {
        self.server.logout(who);
        self.devices[who].crash();
        self.give(who, Input::Start);
        self.settle();
    }

    // ---- moving --------------------------------------------------------------------------------

    /// Gives a device an input now.
    pub(super) fn give(&mut self, who: Who, input: Input) {
        let (now, uptime) = (self.server.now, self.uptime);
        self.devices[who].handle(input, now, uptime);
    }

    /// Goes on until nothing happens any more without time passing.
    pub(super) fn settle(&mut self) {
        for _ in 0..INPUTS_MAX {
            let mut has_moved = false;
            for who in 0..self.devices.len() {
                has_moved |= self.step(who);
            }
            if !has_moved {
                return;
            }
        }
        panic!("something goes in circles");
    }

    /// One thing of a device; `false` if nothing waits.
    pub(super) fn step(&mut self, who: Who) -> bool {
        let device = &mut self.devices[who];
        if !device.disk.is_slow
            && let Some(input) = device.stored.pop_front()
        {
            self.give(who, input);
            return true;
        }
        if let Some(output) = device.outside.pop_front() {
            self.act(who, output);
            return true;
        }
        if let Some(session) = self.server.sessions.get_mut(&who)
            && let Some(frame) = session.frames.pop_front()
        {
            self.pass(who, frame);
            return true;
        }
        if let Some(input) = self.devices[who].inbox.pop_front() {
            self.give(who, input);
            return true;
        }
        // The shell looks ten times a second what other processes did.
        let inputs =
            if self.devices[who].disk.is_slow { Vec::new() } else { self.devices[who].look() };
        let has_moved = !inputs.is_empty();
        for input in inputs {
            self.give(who, input);
        }
        has_moved
    }

    /// Hands something from the server over, unless the test does something else with it.
    fn pass(&mut self, who: Who, frame: Input) {
        let frames = match &mut self.filter {
            Some(filter) => filter(who, frame),
            None => vec![frame],
        };
        self.devices[who].inbox.extend(frames);
    }

    fn act(&mut self, who: Who, output: Output) {
        match output {
            Output::Connect(expected) => self.connect(who, &expected),
            Output::Disconnect => {
                self.devices[who].n_disconnects += 1;
                self.cut(who);
            }
            Output::Call(id, request) => self.call(who, id, request),
            Output::Bulk(id, request) => {
                if !self.server.sessions.contains_key(&who) {
                    return;
                }
                match self.server.pages(who, &request) {
                    Ok(pages) => {
                        self.devices[who].bulks.insert(id, pages);
                        self.next_page(who, id);
                    }
                    Err(fault) => {
                        let frame = Input::Page(id, Err(BulkFailure::Fault(fault)));
                        self.pass(who, frame);
                    }
                }
            }
            Output::NextPage(id) => self.next_page(who, id),
            Output::CancelBulk(id) => drop(self.devices[who].bulks.remove(&id)),
            output => panic!("{output:?} is not done outside"),
        }
    }

    fn next_page(&mut self, who: Who, id: super::super::io::BulkId) {
        let pages = self.devices[who].bulks.get_mut(&id);
        if let Some(page) = pages.and_then(std::collections::VecDeque::pop_front) {
            self.pass(who, Input::Page(id, Ok(Some(page))));
        }
    }

    fn connect(&mut self, who: Who, expected: &Expected) {
        let device = &mut self.devices[who];
        device.n_attempts += 1;
        if let Some(failure) = device.failures.pop_front() {
            device.inbox.push_back(Input::ConnectFailed(failure));
            return;
        }
        if device.is_unreachable {
            let failure = ConnectFailure::Retry("nothing answers".into());
            device.inbox.push_back(Input::ConnectFailed(failure));
            return;
        }
        if let Expected::Pins(pins) = expected {
            assert!(pins.contains(&self.server.pin), "a test changes the pin by a failure");
        }
        let (account, id) = (device.identity.account, device.identity.device());
        let input = if self.server.login(who, account, id) {
            let rtt = Duration::from_millis(20);
            let welcome = Box::new(self.welcome(account));
            Input::Connected { pin: self.server.pin, welcome, rtt }
        } else {
            Input::ConnectFailed(ConnectFailure::Refused(Fault::AuthFailed.to_string()))
        };
        self.devices[who].inbox.push_back(input);
    }

    pub(super) fn welcome(&self, account: AccountId) -> Welcome {
        let limits =
            SessionLimits { messages_per_minute: 60, messages_burst: 60, text_len_max: 16_384 };
        Welcome {
            version: 1,
            features: 0,
            account,
            time: self.server.now,
            limits,
            server_pin: self.server.pin,
            server_pin_next: None,
            chain_seq: self.server.chain_head(account).unwrap().seq,
        }
    }

    fn call(&mut self, who: Who, id: CallId, request: Request) {
        if !self.server.sessions.contains_key(&who) {
            return;
        }
        self.devices[who].calls.push(request.clone());
        let fate = self.tamper.as_mut().and_then(|tamper| tamper(who, &request));
        let answer = match fate {
            None => self.server.answer(who, request).map_err(CallError::Fault),
            Some(Fate::Refuse(fault)) => Err(CallError::Fault(fault)),
            Some(Fate::Answer(reply)) => Ok(reply),
            Some(Fate::CutBefore) => return self.cut(who),
            Some(Fate::CutAfter) => {
                drop(self.server.answer(who, request));
                return self.cut(who);
            }
            Some(Fate::Silence) => return,
            Some(Fate::Hold) => {
                let answer = self.server.answer(who, request).map_err(CallError::Fault);
                return self.held.push((who, Input::Reply(id, answer)));
            }
        };
        // Queued like an event: nothing that the server says overtakes anything else.
        if let Some(session) = self.server.sessions.get_mut(&who) {
            session.frames.push_back(Input::Reply(id, answer));
        }
    }

    /// Gives the answers out that were kept back; the last first, if `is_reversed`.
    pub(super) fn release(&mut self, is_reversed: bool) {
        let mut held = std::mem::take(&mut self.held);
        if is_reversed {
            held.reverse();
        }
        for (who, input) in held {
            self.give(who, input);
        }
        self.settle();
    }

    /// Ends the session of a device.
    pub(super) fn cut(&mut self, who: Who) {
        if self.server.sessions.contains_key(&who) {
            self.server.logout(who);
            let device = &mut self.devices[who];
            // What the login said has arrived in any case, if nothing behind it has.
            let is_login = |input: &Input| matches!(input, Input::Connected { .. });
            device.inbox.retain(is_login);
            device.bulks.clear();
            device.outside.retain(|output| matches!(output, Output::Connect(_)));
            let cause = "the session ended".to_owned();
            device.inbox.push_back(Input::Disconnected { cause });
        }
    }

    /// Ends the session of a device, and lets it come back only when the test says so.
    pub(super) fn goes_offline(&mut self, who: Who) {
        self.devices[who].is_unreachable = true;
        self.cut(who);
        self.settle();
    }

    /// Lets a device reach the server again, and waits until it does.
    pub(super) fn comes_back(&mut self, who: Who) {
        self.devices[who].is_unreachable = false;
        self.wait(Duration::from_secs(31));
        assert!(self.devices[who].is_online(), "{:?}", self.devices[who].connection());
    }

    /// Lets time pass, with everything that falls due in it.
    pub(super) fn wait(&mut self, pause: Duration) {
        let end = self.uptime + pause;
        loop {
            self.settle();
            let next = self.devices.iter().filter_map(|device| device.wake_at).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.pass_time(next.max(self.uptime));
            for who in 0..self.devices.len() {
                if self.devices[who].wake_at.is_some_and(|at| at <= self.uptime) {
                    self.give(who, Input::Wake);
                }
            }
        }
        self.pass_time(end);
        self.server.append_due();
        self.settle();
    }

    fn pass_time(&mut self, to: Duration) {
        let passed = u64::try_from(to.checked_sub(self.uptime).unwrap().as_millis()).unwrap();
        self.uptime = to;
        self.server.now = TimeMs(self.server.now.0 + passed);
    }
}

/// Whether a call is an append.
pub(super) fn is_append(request: &Request) -> bool {
    matches!(request, Request::Append { .. })
}

/// Whether a call is a commit.
pub(super) fn is_commit(request: &Request) -> bool {
    matches!(request, Request::Commit { .. })
}

/// Whether an input is the event of an entry.
pub(super) fn is_entry(input: &Input) -> bool {
    matches!(input, Input::Event(Event::Entry { .. }))
}

/// Sets a value of a room.
pub(super) fn set(room: RoomId, key: &str, value: &str) -> Command {
    Command::Set { room, key: key.into(), value: value.into() }
}
