//! Input from the terminal: keys, pastes, its size, and its answers to queries.
//!
//! Owns the only reader. Nothing typed is ever lost: input that arrives during a query waits, and
//! whatever is not an answer is a key.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::background::{Listener, ListenerStep};
use super::message::Msg;

/// How long the beginning of an answer is held until it is a key after all. Terminals send an
/// answer in one piece.
const HELD_TIME: Duration = Duration::from_millis(50);

/// The reader of the terminal.
pub(crate) struct Input {
    /// The answer about keys, as long as it is waited for. Nobody else may read until then.
    about_keys: Option<JoinHandle<bool>>,
    stream: Option<EventStream>,
    /// Listens for the answer about the background, while one is due.
    listener: Option<Listener>,
    /// When what the listener holds is given up.
    held_until: Option<Instant>,
    /// What was held and is no answer.
    released: VecDeque<Event>,
    /// Whether the terminal ever reported its background.
    pub(crate) knows_background: bool,
}

/// An event of the terminal.
#[derive(Debug)]
pub(crate) enum InputEvent {
    /// Something that happened.
    Msg(Msg),
    /// Whether the terminal reports keys unambiguously (the Kitty keyboard protocol).
    KeysApart(bool),
}

impl Input {
    /// Starts with the pending answer about keys, and the one about the background if it was
    /// requested.
    pub(crate) fn new(about_keys: JoinHandle<bool>, asked_about_background: bool) -> Self {
        Self {
            about_keys: Some(about_keys),
            stream: None,
            listener: asked_about_background.then(Listener::default),
            held_until: None,
            released: VecDeque::new(),
            knows_background: false,
        }
    }

    /// The background was asked for: from now on, an answer is listened for.
    pub(crate) fn listen(&mut self) {
        self.listener.get_or_insert_default();
    }

    /// Waits for the answer about keys; `None` if it was there before.
    ///
    /// # Cancel safety
    ///
    /// The answer is not lost; [`Self::next`] returns it.
    pub(crate) async fn keys_apart(&mut self) -> Option<bool> {
        let has_flags = self.about_keys.as_mut()?.await.unwrap_or(false);
        self.about_keys = None;
        Some(has_flags)
    }

    /// What comes next.
    ///
    /// # Cancel safety
    ///
    /// Whatever was read is kept in `self` until it is returned.
    pub(crate) async fn next(&mut self) -> InputEvent {
        if let Some(has_flags) = self.keys_apart().await {
            return InputEvent::KeysApart(has_flags);
        }
        loop {
            if let Some(event) = self.released.pop_front() {
                match of_terminal(event) {
                    Some(msg) => return InputEvent::Msg(msg),
                    None => continue,
                }
            }
            match self.read().await {
                Some(Ok(event)) => {
                    if let Some(event) = self.handle(event) {
                        return event;
                    }
                }
                Some(Err(_)) => return InputEvent::Msg(Msg::Terminate),
                // What was held is released now.
                None => {}
            }
        }
    }

    /// Reads an event; `None` if what was held waited long enough.
    async fn read(&mut self) -> Option<io::Result<Event>> {
        let stream = self.stream.get_or_insert_with(EventStream::new);
        let held_until = self.held_until;
        let give_up = async {
            match held_until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = stream.next() => {
                Some(event.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())))
            }
            () = give_up => {
                self.held_until = None;
                self.released.extend(self.listener.as_mut().map(Listener::give_up).unwrap_or_default());
                None
            }
        }
    }

    /// Tells an answer; everything else is released as it came.
    fn handle(&mut self, event: Event) -> Option<InputEvent> {
        let Some(listener) = &mut self.listener else {
            self.released.push_back(event);
            return None;
        };
        match listener.handle(event) {
            ListenerStep::Answer(tone) => {
                self.listener = None;
                self.held_until = None;
                self.knows_background = true;
                Some(InputEvent::Msg(Msg::Background(tone)))
            }
            ListenerStep::Passed(events) => {
                self.released.extend(events);
                let is_holding = listener.is_holding();
                self.held_until = is_holding.then(|| Instant::now() + HELD_TIME);
                None
            }
        }
    }
}

/// The message for a terminal event; key releases and the mouse are ignored.
fn of_terminal(event: Event) -> Option<Msg> {
    Some(match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Msg::Key(key),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(width, height) => Msg::Resize(width, height),
        Event::FocusGained => Msg::Focus(true),
        Event::FocusLost => Msg::Focus(false),
        Event::Key(_) | Event::Mouse(_) => return None,
    })
}
