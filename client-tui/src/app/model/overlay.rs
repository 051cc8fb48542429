//! What floats above the screen: panels that explain, lists to choose from, a question.

use mathia_protocol::client::{Command, DeviceView, LobbyRoom};
use mathia_protocol::id::{AccountId, RoomId, Seq, TimeMs};

use super::entry::ItemKey;
use super::envelope::Envelope;
use crate::app::composer::Composer;
use crate::safe_text::SafeText;

/// Something that floats.
#[derive(Debug, Clone)]
pub(crate) enum Overlay {
    /// A panel that explains something, and how far it is scrolled.
    Panel { topic: Topic, scroll: usize },
    /// A list to choose a room or person from.
    Switcher(Switcher),
    /// What waits to be sent; the line the keys act upon.
    Outbox { selected: usize },
    /// A question before something others see or that cannot be taken back.
    Confirmation(Confirmation),
    /// What would leave with a question to the assistant, before it does.
    Envelope(Box<Envelope>),
}

/// What a panel explains. Its text is made anew from the model each time it is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Topic {
    /// The keys of this place, and the commands.
    Keys,
    /// Why a thing of the timeline is as it is.
    Why(ItemKey),
    /// Who has a message.
    Ticks(ItemKey),
    /// Who can read this room.
    Lock,
    /// Who is in this room.
    Who,
    /// An assistant of this room: who runs it, where questions go, what it can read.
    Assistant(AccountId),
    /// The exact text that would leave, of the envelope below this panel.
    Exact,
    /// How the connection stands.
    Net,
    /// The own devices.
    Devices(Vec<DeviceLine>),
    /// The safety number with a person.
    Safety { account: AccountId, handle: SafeText, digits: String, asks: bool },
    /// An invite link.
    Invite { link: SafeText },
}

/// An own device, cleaned.
#[derive(Debug, Clone)]
pub(crate) struct DeviceLine {
    pub(crate) id: String,
    pub(crate) name: SafeText,
    pub(crate) os: SafeText,
    pub(crate) created: TimeMs,
    pub(crate) is_this: bool,
    pub(crate) is_revoked: bool,
}

impl DeviceLine {
    /// Cleans what the engine tells.
    pub(crate) fn of(view: &DeviceView) -> Self {
        Self {
            id: view.device.short(),
            name: SafeText::line(&view.name),
            os: SafeText::line(&view.os),
            created: view.created,
            is_this: view.is_this,
            is_revoked: view.is_revoked,
        }
    }
}

/// A list with a filter.
#[derive(Debug, Clone)]
pub(crate) struct Switcher {
    pub(crate) filter: Composer,
    pub(crate) selected: usize,
    pub(crate) among: SwitcherList,
}

/// What a list is about.
#[derive(Debug, Clone)]
pub(crate) enum SwitcherList {
    /// The own rooms and the people known.
    Places,
    /// The open rooms of the workspace.
    Lobby(Vec<LobbyLine>),
    /// Emoji for a message.
    Emoji { target: Seq },
}

/// An open room, cleaned.
#[derive(Debug, Clone)]
pub(crate) struct LobbyLine {
    pub(crate) room: RoomId,
    pub(crate) name: SafeText,
    pub(crate) topic: SafeText,
    pub(crate) n_members: u32,
    pub(crate) is_member: bool,
}

impl LobbyLine {
    /// Cleans what the engine tells.
    pub(crate) fn of(room: &LobbyRoom) -> Self {
        Self {
            room: room.room,
            name: SafeText::line(&room.name),
            topic: SafeText::line(&room.topic),
            n_members: room.n_members,
            is_member: room.is_member,
        }
    }
}

/// Something asked before it is done.
#[derive(Debug, Clone)]
pub(crate) struct Confirmation {
    /// The question, a sentence.
    pub(crate) text: String,
    /// What is done on a yes.
    pub(crate) command: Command,
    /// What is said when it is done.
    pub(crate) done: String,
}
