//! Somebody who talks through the bad network with the real client, and what they heard.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::client::{
    Bot, Client, ClientEvent, Command, ConnectionState, Done, EntryContent, EntryView, RoomView,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{Hash, RoomId, Seq};

use crate::Failure;

/// A text of the numbered stream: who said it, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) number: u64,
}

/// What two people who heard the same have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct History {
    head: Seq,
    hash: Hash,
    room_code: String,
    /// Every text in order.
    pub(crate) heard: Vec<(Seq, Said)>,
}

/// What a person knows.
#[derive(Default)]
pub(crate) struct Known {
    /// By place in the log.
    heard: BTreeMap<Seq, Said>,
    room: Option<RoomView>,
    n_logins: u32,
    causes: Vec<String>,
    failure: Option<String>,
}

pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) client: Client,
    known: Rc<RefCell<Known>>,
    n_said: Rc<Cell<u64>>,
}

impl Person {
    pub(crate) async fn join(link: &str, name: &str) -> Result<Self, Failure> {
        let mut bot = Bot::join(link, name).await?;
        let client = bot.client().clone();
        let known = Rc::new(RefCell::new(Known { n_logins: 1, ..Known::default() }));
        let hearing = Rc::clone(&known);
        tokio::task::spawn_local(async move {
            while let Some(event) = bot.next_event().await {
                hearing.borrow_mut().hear(event);
            }
        });
        Ok(Self { name: name.to_owned(), client, known, n_said: Rc::default() })
    }

    /// Says the next number every `interval`, until `is_over`.
    pub(crate) fn talk(&self, room: RoomId, interval: Duration, is_over: &Rc<Cell<bool>>) {
        let (client, name) = (self.client.clone(), self.name.clone());
        let (known, n_said) = (Rc::clone(&self.known), Rc::clone(&self.n_said));
        let is_over = Rc::clone(is_over);
        tokio::task::spawn_local(async move {
            let mut ticks = tokio::time::interval(interval);
            while !is_over.get() {
                ticks.tick().await;
                let text = format!("{name} {}", n_said.get() + 1);
                match client.run(Command::Send { room, text, tag: None }).await {
                    Ok(Done::Queued { .. }) => n_said.set(n_said.get() + 1),
                    other => known.borrow_mut().fail(format!("{name} could not speak: {other:?}")),
                }
            }
        });
    }

    pub(crate) fn n_said(&self) -> u64 {
        self.n_said.get()
    }

    /// How many texts of somebody were heard.
    pub(crate) fn n_heard_of(&self, name: &str) -> u64 {
        let known = self.known.borrow();
        known.heard.values().filter(|said| said.name == name).count() as u64
    }

    /// Sessions that were begun, and why the earlier ones ended.
    pub(crate) fn logins(&self) -> (u32, Vec<String>) {
        let known = self.known.borrow();
        (known.n_logins, known.causes.clone())
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.known.borrow().failure.clone()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.known.borrow().room.as_ref().is_some_and(|room| room.head == room.announced)
    }

    /// All they know of the room.
    pub(crate) fn history(&self) -> Result<History, Failure> {
        let known = self.known.borrow();
        let room = known.room.as_ref().ok_or("a room is missing")?;
        let heard = known.heard.iter().map(|(seq, said)| (*seq, said.clone())).collect();
        let room_code = room.room_code.clone();
        Ok(History { head: room.head, hash: room.head_hash, room_code, heard })
    }

    /// Waits until the connection stands, at most `patience`.
    pub(crate) async fn is_online(&self, patience: Duration) -> bool {
        let mut client = self.client.clone();
        let online =
            client.connection_where(|state| matches!(state, ConnectionState::Online { .. }));
        tokio::time::timeout(patience, online).await.is_ok_and(|state| state.is_some())
    }
}

impl Known {
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }

    fn hear(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Entry(entry) => self.hear_entry(&entry),
            ClientEvent::Room(room) => self.room = Some(*room),
            ClientEvent::Connection(ConnectionState::Connecting) => self.n_logins += 1,
            ClientEvent::Connection(
                ConnectionState::Offline { cause, .. } | ConnectionState::Stopped { cause, .. },
            ) => self.causes.push(cause),
            ClientEvent::Alarm { text, .. } => self.fail(format!("an alarm: {text}")),
            _ => {}
        }
    }

    /// Takes an entry down; the same place may be told again, but only with the same text.
    fn hear_entry(&mut self, entry: &EntryView) {
        match &entry.content {
            EntryContent::Said(Content::Text(text)) => {
                let Some(said) = said(text) else {
                    return self.fail(format!("nobody said {text:?}"));
                };
                if let Some(before) = self.heard.insert(entry.seq, said.clone())
                    && before != said
                {
                    self.fail(format!("{} says {said:?}, and before {before:?}", entry.seq));
                }
            }
            EntryContent::Change(_) | EntryContent::Unreadable(_) => {}
            other => self.fail(format!("{} is {other:?}", entry.seq)),
        }
    }
}

fn said(text: &str) -> Option<Said> {
    let (name, number) = text.split_once(' ')?;
    Some(Said { name: name.to_owned(), number: number.parse().ok()? })
}

/// Waits until `is_so`, and says how long it took; `None` if it did not come in time.
pub(crate) async fn until(patience: Duration, mut is_so: impl FnMut() -> bool) -> Option<Duration> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > patience {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(began.elapsed())
}
