//! Everything a key can do, each with a name for configuration and a sentence for the overlay.

use super::composer::Edit;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $sentence:literal;)*) => {
        /// Something a key does, besides editing text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            /// An edit of the text being written.
            Edit(Edit),
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// All actions but the edits.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in configuration.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Edit(edit) => edit_name(edit),
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does, in a few words for the key overlay.
            pub fn sentence(self) -> &'static str {
                match self {
                    Self::Edit(edit) => edit_sentence(edit),
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

actions! {
    /// Sends what was written, or does the command it is.
    Send = "send", "send";
    /// One row up; on an empty composer, what was written before.
    Up = "up", "one row up, or what you wrote before";
    /// One row down.
    Down = "down", "one row down";
    /// Completes a name, a room or a command.
    Complete = "complete", "complete a @name, #room or /command";
    /// Opens the quick switcher.
    Switcher = "switcher", "go to a room or person";
    /// Shows the keys of this place.
    Keys = "keys", "keys of this place";
    /// Says why the selected thing is as it is.
    Why = "why", "why is it so";
    /// To the room above.
    RoomPrevious = "room_previous", "room above";
    /// To the room below.
    RoomNext = "room_next", "room below";
    /// To the next room with something unread, mentions first.
    RoomUnread = "room_unread", "next unread room";
    /// Half a screen up.
    PageUp = "page_up", "scroll up";
    /// Half a screen down.
    PageDown = "page_down", "scroll down";
    /// To the first unread message, or the start of the line being written.
    Home = "home", "first unread (line start while writing)";
    /// To the newest message, or the end of the line being written.
    End = "end", "newest (line end while writing)";
    /// To the first unread message.
    FirstUnread = "first_unread", "first unread";
    /// To the newest message.
    Newest = "newest", "newest";
    /// Selects a message.
    Select = "select", "select a message";
    /// Stops the answer to the own question, else one step back; never quits.
    Back = "back", "stop your answer, else one step back";
    /// Puts the draft away, then quits when asked again.
    Cancel = "cancel", "put the draft away; twice: quit";
    /// Quits on an empty composer; deletes under the caret otherwise.
    QuitOrDelete = "quit_or_delete", "quit when nothing is written";
    /// Tries to connect now.
    ConnectNow = "connect_now", "connect now";
    /// Draws everything anew.
    Redraw = "redraw", "draw the screen anew";
    /// Gives the terminal back to the shell until `fg`.
    Suspend = "suspend", "suspend";
    /// One thing up.
    ListUp = "list_up", "up";
    /// One thing down.
    ListDown = "list_down", "down";
    /// Chooses the thing.
    Choose = "choose", "choose";
    /// Copies the thing.
    Copy = "copy", "copy";
    /// Shows who has it.
    Ticks = "ticks", "who has it";
    /// Takes a queued text back into the composer.
    EditQueued = "edit_queued", "take back and edit";
    /// Withdraws a queued text.
    Withdraw = "withdraw", "withdraw";
    /// Sends a refused text again.
    Retry = "retry", "send again";
    /// Chooses an emoji for the message.
    React = "react", "react";
    /// Puts the emoji used last on the message.
    ReactAgain = "react_again", "your last emoji again";
    /// Asks the assistant about the message.
    Ask = "ask", "ask the assistant about it";
    /// Keeps or drops the thing.
    Toggle = "toggle", "keep or drop";
    /// Takes more of it.
    More = "more", "more";
    /// Takes less of it.
    Less = "less", "less";
    /// Says yes to what is asked.
    Confirm = "confirm", "yes";
}

const EDITS: [(Edit, &str, &str); 15] = [
    (Edit::Newline, "newline", "new line"),
    (Edit::Backspace, "backspace", "delete back"),
    (Edit::Delete, "delete", "delete"),
    (Edit::Left, "left", "left"),
    (Edit::Right, "right", "right"),
    (Edit::WordLeft, "word_left", "word left"),
    (Edit::WordRight, "word_right", "word right"),
    (Edit::LineStart, "line_start", "start of the line"),
    (Edit::LineEnd, "line_end", "end of the line"),
    (Edit::KillToStart, "kill_to_start", "kill to the start of the line"),
    (Edit::KillToEnd, "kill_to_end", "kill to the end of the line"),
    (Edit::KillWordBack, "kill_word_back", "kill the word before"),
    (Edit::KillWord, "kill_word", "kill the word behind"),
    (Edit::Yank, "yank", "put back what was killed"),
    (Edit::Undo, "undo", "undo"),
];

fn edit_name(edit: Edit) -> &'static str {
    EDITS.iter().find(|(e, ..)| *e == edit).map_or("edit", |(_, name, _)| name)
}

fn edit_sentence(edit: Edit) -> &'static str {
    EDITS.iter().find(|(e, ..)| *e == edit).map_or("", |(.., sentence)| sentence)
}

impl Action {
    /// The action of a name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::with_edits().find(|action| action.name() == name)
    }

    /// Every name there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::with_edits().map(Self::name)
    }

    fn with_edits() -> impl Iterator<Item = Self> {
        let edits = EDITS.iter().map(|(edit, ..)| Self::Edit(*edit));
        Self::ALL.iter().copied().chain(edits)
    }
}
