//! The life of the connection: connect, log in, resume, listen, and begin again.
//!
//! Owns the backoff and what each event means. An event is a hint: losing all of them still ends with
//! everything right, since every login compares the heads of all rooms.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::connect::{CLOSE_DONE, ConnectError, Connected, connect};
use super::super::event::{ClientEvent, ConnectionState};
use super::super::link::{Link, News};
use super::super::login::{LoginError, Opener};
use super::super::record::{PinSource, RoomFacts, ServerRecord};
use super::super::replica::Write;
use super::super::trust::{Expected, TrustError};
use super::Engine;
use super::room::{Room, Task};
use crate::id::{Hash, RoomId, Seq};
use crate::limits::RESUME_PAGE_MAX;
use crate::log::sync::Input;
use crate::wire::{
    ChainHeadLine, Cursor, EntryBody, Event, Fault, KeyAnswer, LogEntry, Reply, Request, RoomHead,
    Welcome,
};

/// The first pause after a lost connection.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A session that lasted this long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// How often the round trip is told while nothing else changes.
const RTT_INTERVAL: Duration = Duration::from_secs(5);

/// Why an attempt failed.
enum Failure {
    /// Another attempt may help.
    Again(String),
    /// No attempt helps.
    Final { cause: String, is_untrusted: bool },
}

impl Engine {
    /// Keeps a session as long as the engine lives.
    pub(super) async fn live(self: Rc<Self>) {
        let mut pause = PAUSE_MIN;
        loop {
            self.set_connection(ConnectionState::Connecting);
            let cause = match self.log_in().await {
                Ok((link, news)) => {
                    let begun = tokio::time::Instant::now();
                    self.serve(&link, news).await;
                    if begun.elapsed() > GOOD_SESSION {
                        pause = PAUSE_MIN;
                    }
                    link.close_reason()
                }
                Err(Failure::Again(cause)) => cause,
                Err(Failure::Final { cause, is_untrusted }) => {
                    self.set_connection(ConnectionState::Stopped { cause, is_untrusted });
                    return;
                }
            };
            let retry_in = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            self.set_connection(ConnectionState::Offline { retry_in, cause });
            tokio::select! {
                () = sleep(retry_in) => pause = (pause * 2).min(PAUSE_MAX),
                () = self.connect_now.notified() => pause = PAUSE_MIN,
            }
        }
    }

    fn set_connection(&self, state: ConnectionState) {
        if *self.connection.borrow() != state {
            self.connection.send_replace(state.clone());
            self.tell(ClientEvent::Connection(state));
        }
        self.wake();
    }

    /// Tells how the connection stands, if there is one.
    pub(super) fn tell_connection(&self) {
        let Some(link) = self.link() else { return };
        let is_caught_up = self.is_caught_up();
        let known = self.connection.borrow().clone();
        if let ConnectionState::Online { rtt, is_caught_up: told } = known
            && told == is_caught_up
            && rtt.abs_diff(link.rtt()) < rtt.max(Duration::from_millis(4)) / 2
        {
            return;
        }
        self.set_connection(ConnectionState::Online { rtt: link.rtt(), is_caught_up });
    }

    /// Whether everything the server had is in the replica.
    pub(super) fn is_caught_up(&self) -> bool {
        let core = self.core.borrow();
        let mut rooms =
            core.rooms.values().filter(|room| room.facts.is_member && room.facts.stopped.is_none());
        self.is_resumed.get() && rooms.all(Room::is_caught_up)
    }

    async fn log_in(self: &Rc<Self>) -> Result<(Rc<Link>, mpsc::Receiver<News>), Failure> {
        let server = self.replica.server().map_err(|error| Failure::Again(error.to_string()))?;
        let (connected, source) = self.reach(server.as_ref()).await?;
        let connection = connected.connection.clone();
        let welcome = async {
            let mut opener = Opener::open(&connection).await?;
            let scope = self.identity.borrow().hello_scope();
            let hello = opener.hello(&connection, &scope, |ekm| {
                scope.sign_hello(&self.identity.borrow().signing, ekm)
            });
            let welcome = hello.await?;
            Ok::<_, LoginError>((opener, welcome))
        };
        let (opener, welcome) = welcome.await.map_err(|error| {
            connection.close(CLOSE_DONE, b"");
            login_failed(&error)
        })?;
        self.remember_server(server, &connected, source, &welcome);
        let (link, news) = Link::start(connected.endpoint, connected.connection, opener);
        self.is_resumed.set(false);
        *self.link.borrow_mut() = Some(Rc::clone(&link));
        Ok((link, news))
    }

    /// Connects, and asks a person if nothing vouches for the server's key.
    async fn reach(
        &self,
        server: Option<&ServerRecord>,
    ) -> Result<(Connected, PinSource), Failure> {
        let (expected, source) = match (server, self.invite_pin) {
            (Some(server), _) => {
                let pins: Vec<Hash> = [server.pin].into_iter().chain(server.next_pin).collect();
                (Expected::Pins(pins), server.source)
            }
            (None, Some(half)) => (Expected::InvitePin(half), PinSource::Invite),
            (None, None) => (Expected::FirstContact, PinSource::WebPki),
        };
        let untrusted =
            |error: &TrustError| Failure::Final { cause: error.to_string(), is_untrusted: true };
        match connect(&self.address, &expected).await {
            Ok(connected) => Ok((connected, source)),
            Err(ConnectError::Untrusted(error @ TrustError::Unvouched { .. })) => {
                let TrustError::Unvouched { pin, words } = &error else {
                    return Err(untrusted(&error));
                };
                let Some(ask) = self.ask.clone() else { return Err(untrusted(&error)) };
                let (address, pin, words) = (self.address.clone(), *pin, words.clone());
                let asked =
                    tokio::task::spawn_blocking(move || ask.is_trusted(&address, pin, &words));
                if !asked.await.unwrap_or(false) {
                    return Err(untrusted(&error));
                }
                let connected = connect(&self.address, &Expected::Pins(vec![pin])).await;
                let connected = connected.map_err(|error| connect_failed(&error))?;
                Ok((connected, PinSource::Asked))
            }
            Err(error) => {
                if let ConnectError::Untrusted(error) = &error {
                    let cause = super::super::event::AlarmCause::ServerChanged;
                    self.alarm(None, None, cause, error.to_string());
                }
                Err(connect_failed(&error))
            }
        }
    }

    fn remember_server(
        &self,
        known: Option<ServerRecord>,
        connected: &Connected,
        source: PinSource,
        welcome: &Welcome,
    ) {
        let pin = connected.shown.pin;
        // What the server says about its own present key counts for nothing: the handshake proved it.
        let next_pin = welcome.server_pin_next;
        let record = match known {
            Some(known) => {
                let source = if known.pin == pin { known.source } else { PinSource::Announced };
                ServerRecord { pin, next_pin, source, ..known }
            }
            None => ServerRecord {
                address: self.address.clone(),
                realm: self.identity.borrow().realm,
                pin,
                next_pin,
                source,
                first_seen: self.now(),
            },
        };
        let skew = welcome.time.0.cast_signed().saturating_sub(self.now().0.cast_signed());
        let writes = [Write::Server(record), Write::ClockSkew { ahead_ms: skew }];
        let noted = self.replica.commit(&writes);
        if let Err(error) = noted {
            self.storage_failed(&error);
        }
    }

    /// Resumes and listens until the session ends.
    async fn serve(self: &Rc<Self>, link: &Rc<Link>, mut news: mpsc::Receiver<News>) {
        self.tell_connection();
        self.go(Self::resume);
        loop {
            match timeout(RTT_INTERVAL, news.recv()).await {
                Ok(Some(News::Event(event))) => self.hear(event),
                Ok(Some(News::Datagram(datagram))) => self.hear_typing(datagram),
                Ok(None) => break,
                Err(_) => self.tell_connection(),
            }
            if !link.is_open() {
                break;
            }
        }
        link.close();
        self.link.borrow_mut().take();
        self.lose_session();
    }

    fn lose_session(self: &Rc<Self>) {
        let rooms: Vec<RoomId> = self.core.borrow().rooms.keys().copied().collect();
        for id in rooms {
            self.feed(id, Input::Disconnected);
        }
        let lost = self.core.borrow_mut().people.lose_presence();
        for view in lost {
            self.tell(ClientEvent::Presence(view));
        }
        self.wake();
    }

    /// Says how far every room is here, and takes up what the server has.
    async fn resume(self: Rc<Self>) {
        let Some(link) = self.link() else { return };
        let cursors: Vec<Cursor> = {
            let core = self.core.borrow();
            let members = core.rooms.values().filter(|room| room.facts.is_member);
            members.map(|room| Cursor { room: room.id, seq: room.applied.seq() }).collect()
        };
        let mut pages: Vec<&[Cursor]> = cursors.chunks(RESUME_PAGE_MAX).collect();
        if pages.is_empty() {
            pages.push(&[]);
        }
        let n_pages = pages.len();
        for (place, cursors) in pages.into_iter().enumerate() {
            let is_last = place + 1 == n_pages;
            if !self.resume_page(&link, cursors.to_vec(), is_last).await {
                link.close();
                return;
            }
        }
        self.after_resume().await;
    }

    /// One page, and with the last one everything that did not fit.
    async fn resume_page(
        self: &Rc<Self>,
        link: &Rc<Link>,
        mut cursors: Vec<Cursor>,
        is_last: bool,
    ) -> bool {
        loop {
            let request = Request::Resume { cursors: std::mem::take(&mut cursors), is_last };
            match link.call(request).await {
                Ok(Reply::Resumed { heads, gone, more }) => {
                    self.take_heads(heads);
                    for id in gone {
                        self.room_gone(id);
                    }
                    if !(is_last && more) {
                        return true;
                    }
                }
                Ok(_) => return false,
                Err(error) => {
                    tracing::debug!(%error, "the session could not be resumed");
                    return false;
                }
            }
        }
    }

    /// Heads of many rooms: the visible one is caught up first.
    fn take_heads(self: &Rc<Self>, mut heads: Vec<RoomHead>) {
        let visible = self.visible.get();
        heads.sort_by_key(|head| Some(head.room) != visible);
        for head in heads {
            self.take_head(&head);
        }
    }

    /// What the server says about one room.
    fn take_head(self: &Rc<Self>, head: &RoomHead) {
        let id = head.room;
        self.meet_room(id);
        {
            let mut core = self.core.borrow_mut();
            core.numbers.insert(head.number, id);
            let Some(room) = core.rooms.get_mut(&id) else { return };
            room.head = Some((head.seq, head.hash));
            if room.take_head(head)
                && let Err(error) = self.replica.commit(&room.known_beside_the_log())
            {
                drop(core);
                self.storage_failed(&error);
            }
        }
        self.open_room(id);
        self.tell_room(id);
        self.wake();
    }

    /// Makes a place for a room that is new here.
    pub(super) fn meet_room(&self, id: RoomId) {
        let mut core = self.core.borrow_mut();
        if core.rooms.contains_key(&id) {
            return;
        }
        let facts = RoomFacts::unknown();
        let stored = self.replica.put_room(id, &facts);
        let device = core.device;
        core.rooms.insert(id, Room::new(id, device, facts));
        drop(core);
        if let Err(error) = stored {
            self.storage_failed(&error);
        }
    }

    fn room_gone(self: &Rc<Self>, id: RoomId) {
        {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            room.facts.is_member = false;
            let stored = self.replica.put_room(id, &room.facts);
            drop(core);
            if let Err(error) = stored {
                self.storage_failed(&error);
            }
        }
        self.fail_rows(id, "you are no longer in this room");
        self.feed(id, Input::Disconnected);
        self.tell(ClientEvent::RoomGone(id));
        self.wake();
    }

    async fn after_resume(self: &Rc<Self>) {
        self.is_resumed.set(true);
        self.wake();
        let is_known = self.core.borrow().people.chains.contains_key(&self.account);
        if !is_known && let Err(error) = self.fetch_chain(self.account).await {
            tracing::debug!(%error, "the own chain could not be read");
        }
        self.send_unsent_reads();
        self.tell_connection();
        self.go_drain();
        let rooms: Vec<RoomId> = self.core.borrow().rooms.keys().copied().collect();
        self.go(|engine| engine.meet_agents(rooms));
        if self.is_drainer() {
            self.go(Self::keep_promises);
        }
    }

    fn hear(self: &Rc<Self>, event: Event) {
        match event {
            Event::Entry { room, seq, time, entry } => {
                if let Some(id) = self.by_number(room) {
                    let body = EntryBody::Whole(entry);
                    self.hear_entry(id, LogEntry { seq, time, body });
                }
            }
            Event::Room(head) => self.take_head(&head),
            Event::RoomGone { room } => self.room_gone(room),
            Event::Lagged { room, next_seq } => {
                if let Some(id) = self.by_number(room) {
                    self.reread(id, next_seq);
                }
            }
            Event::Marks { room, delivered, read } => self.hear_marks(room, delivered, read),
            Event::Ticks { room, ticks } => self.hear_ticks(room, ticks),
            Event::OwnMark { room, read_upto, n_unread } => {
                if let Some(id) = self.by_number(room) {
                    self.own_mark(id, read_upto, n_unread);
                }
            }
            Event::Presence { lines } => self.hear_presence(&lines),
            Event::KeysAsked { room, account, device, epochs } => {
                self.go(|engine| engine.answer_keys(room, account, device, epochs));
            }
            Event::Key { room, epoch, hpke_gen, sealed } => {
                self.take_key(room, &KeyAnswer { epoch, hpke_gen, sealed });
                self.keys_changed(room);
                self.go(|engine| engine.fetch_keys(room));
            }
            Event::Granted { room } => self.go(|engine| engine.fetch_keys(room)),
            Event::ChainGrew { account, seq, hash } => {
                self.go(|engine| engine.chain_grew(ChainHeadLine { account, seq, hash }));
            }
            Event::Joined { .. } => self.go(Self::admit_joiners),
            Event::ScheduleDropped { room, cause, .. } => {
                let text = format!("a scheduled message was not sent: {cause:?}");
                self.tell(ClientEvent::ScheduleDropped { room, text });
            }
            Event::Stopping { .. } => {}
            Event::Delta { room, account, device, delta } => {
                if let Some(id) = self.by_number(room) {
                    self.hear_delta(id, account, device, &delta);
                }
            }
        }
    }

    /// The room with the server's short number.
    pub(super) fn by_number(&self, number: crate::id::RoomNumber) -> Option<RoomId> {
        self.core.borrow().by_number(number)
    }

    /// Lets in who waits for it, and reads all rooms once more, whatever the server told.
    pub(super) async fn sync_all(self: &Rc<Self>) -> Result<(), super::CommandError> {
        self.online().await?;
        let is_resumed = || self.is_resumed.get() || self.link().is_none();
        self.until(self.patience, is_resumed).await;
        // An answered call says that all events before it have arrived.
        self.call(Request::Joins).await?;
        self.let_joiners_in().await;
        let rooms: Vec<RoomId> = {
            let core = self.core.borrow();
            core.rooms.values().filter(|room| room.facts.is_member).map(|room| room.id).collect()
        };
        for id in rooms {
            self.reread(id, Seq(0));
        }
        let is_done = || {
            let is_busy =
                |room: &Room| room.tasks.contains(&Task::Enter) || room.tasks.contains(&Task::Keys);
            self.link().is_none()
                || (self.is_caught_up() && !self.core.borrow().rooms.values().any(is_busy))
        };
        if self.until(self.patience, is_done).await && self.link().is_some() {
            Ok(())
        } else {
            Err(super::CommandError::TimedOut)
        }
    }
}

fn connect_failed(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Untrusted(error) => {
            Failure::Final { cause: error.to_string(), is_untrusted: true }
        }
        error => Failure::Again(error.to_string()),
    }
}

fn login_failed(error: &LoginError) -> Failure {
    match error {
        LoginError::Refused(fault @ (Fault::AuthFailed | Fault::Unsupported)) => {
            Failure::Final { cause: fault.to_string(), is_untrusted: false }
        }
        error => Failure::Again(error.to_string()),
    }
}
