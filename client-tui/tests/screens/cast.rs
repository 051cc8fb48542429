//! The people, rooms and sentences of the screen tests: fixed names, fixed clock, no chance.

use mathia_protocol::client::{
    Change, EntryContent, EntryView, MarkCounts, MemberView, PersonView, PresenceView, RoomView,
    SealedBy, TrustState,
};
use mathia_protocol::crypto::commit::{
    AgentScope, CommitKind, HistoryRule, Role, RoomKind, RoomMode,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use mathia_protocol::wire::{MarkStep, PresenceState};

/// Thursday 19 November 2026, 17:00 UTC.
pub(crate) const THURSDAY_17: u64 = 1_795_107_600_000;
/// Friday 20 November 2026, 09:30 UTC: the moment of the tests.
pub(crate) const NOW: u64 = THURSDAY_17 + (16 * 60 + 30) * MINUTE;
pub(crate) const MINUTE: u64 = 60_000;

pub(crate) const ANN: AccountId = AccountId([1; 32]);
pub(crate) const BOB: AccountId = AccountId([2; 32]);
pub(crate) const CLEO: AccountId = AccountId([3; 32]);
pub(crate) const MATHIA: AccountId = AccountId([9; 32]);

pub(crate) const TEAM: RoomId = RoomId([0x10; 32]);
pub(crate) const TRAIN: RoomId = RoomId([0x11; 32]);
pub(crate) const LOBBY: RoomId = RoomId([0x12; 32]);
pub(crate) const WITH_BOB: RoomId = RoomId([0x20; 32]);
pub(crate) const WITH_CLEO: RoomId = RoomId([0x21; 32]);

pub(crate) fn name(account: AccountId) -> &'static str {
    match account {
        ANN => "ann",
        BOB => "bob",
        CLEO => "cleo",
        MATHIA => "mathia",
        _ => "somebody",
    }
}

fn member(account: AccountId, role: Role) -> MemberView {
    MemberView {
        account,
        handle: name(account).to_owned(),
        role,
        is_agent: account == MATHIA,
        operator: String::new(),
        card: None,
    }
}

/// A sealed group without anything special.
pub(crate) fn room(room: RoomId, name: &str) -> RoomView {
    RoomView {
        room,
        kind: RoomKind::Group,
        mode: RoomMode::E2ee,
        name: name.to_owned(),
        topic: String::new(),
        members: vec![
            member(ANN, Role::Owner),
            member(BOB, Role::Member),
            member(CLEO, Role::Member),
        ],
        role: Role::Owner,
        history: HistoryRule::SinceJoin,
        agent_scope: AgentScope::None,
        epoch: Epoch(3),
        room_code: "27410938226650117342".to_owned(),
        head: Seq(0),
        head_hash: Hash::ZERO,
        announced: Seq(0),
        read_upto: Seq(0),
        n_unread: 0,
        n_mentions: 0,
        active_at: TimeMs(THURSDAY_17),
        sending_stopped: None,
        marks: MarkCounts { n_others: 2, delivered: Vec::new(), read: Vec::new() },
    }
}

/// The room most tests play in.
pub(crate) fn team() -> RoomView {
    RoomView { active_at: TimeMs(NOW), ..room(TEAM, "team") }
}

/// The direct room with somebody.
pub(crate) fn direct(room_id: RoomId, with: AccountId) -> RoomView {
    RoomView {
        kind: RoomKind::Direct,
        history: HistoryRule::All,
        members: vec![member(ANN, Role::Owner), member(with, Role::Owner)],
        marks: MarkCounts { n_others: 1, delivered: Vec::new(), read: Vec::new() },
        ..room(room_id, name(with))
    }
}

/// An open room.
pub(crate) fn lobby() -> RoomView {
    RoomView {
        mode: RoomMode::Open,
        epoch: Epoch(0),
        history: HistoryRule::All,
        room_code: String::new(),
        n_unread: 12,
        ..room(LOBBY, "lobby")
    }
}

/// A room with an assistant that reads what it is shown.
pub(crate) fn with_assistant(mut view: RoomView) -> RoomView {
    view.members.push(member(MATHIA, Role::Agent));
    view.agent_scope = AgentScope::Mention;
    view
}

pub(crate) fn person(account: AccountId, state: PresenceState, last_seen: u64) -> PersonView {
    PersonView {
        account,
        handle: name(account).to_owned(),
        is_agent: account == MATHIA,
        presence: PresenceView { account, state, last_seen: TimeMs(last_seen) },
        trust: TrustState::Unverified,
        n_devices: 1,
    }
}

/// The usual people: bob is here, cleo went twelve minutes ago.
pub(crate) fn people() -> Vec<PersonView> {
    vec![
        person(BOB, PresenceState::Online, NOW),
        person(CLEO, PresenceState::Away, NOW - 12 * MINUTE),
    ]
}

/// What somebody said in the team's room.
pub(crate) fn said(seq: u64, time: u64, author: AccountId, text: &str) -> EntryView {
    EntryView {
        room: TEAM,
        seq: Seq(seq),
        time: TimeMs(time),
        author,
        handle: name(author).to_owned(),
        device: DeviceId([author.0[0]; 16]),
        is_mine: author == ANN,
        is_countable: true,
        is_shown: false,
        is_mention: author != ANN && text.contains("@ann"),
        sealed: SealedBy::Epoch(Epoch(3)),
        content: EntryContent::Said(Content::Text(text.to_owned())),
        reactions: Vec::new(),
    }
}

/// A change somebody made to the team's room.
pub(crate) fn changed(seq: u64, time: u64, author: AccountId, sentence: &str) -> EntryView {
    let content = EntryContent::Change(Change {
        kind: CommitKind::Create,
        text: sentence.to_owned(),
        accounts: Vec::new(),
        epoch: Epoch(3),
    });
    EntryView { is_countable: false, content, ..said(seq, time, author, "") }
}

/// An entry that says something else than a text.
pub(crate) fn entry(seq: u64, time: u64, author: AccountId, content: EntryContent) -> EntryView {
    EntryView { content, ..said(seq, time, author, "") }
}

/// A little conversation over two days, 8 entries.
pub(crate) fn conversation() -> Vec<EntryView> {
    let t = THURSDAY_17;
    let sql = "looks right. one thing in the migration:\n```sql\nalter table entries add column \
               epoch int;\n```";
    vec![
        changed(1, t - 60 * MINUTE, ANN, "made the room"),
        changed(2, t - 59 * MINUTE, ANN, "added bob and cleo"),
        said(3, t + 2 * MINUTE, ANN, "the cut is on the branch, notes attached"),
        said(4, t + 5 * MINUTE, BOB, sql),
        said(5, t + 6 * MINUTE, ANN, "good catch, moving it"),
        said(6, t + 6 * MINUTE + 20_000, ANN, "and the soak test runs over night"),
        said(7, NOW - 9 * MINUTE, CLEO, "@ann can you look at the epoch column?"),
        said(8, NOW - 8 * MINUTE, CLEO, "the column is added twice: once in 0007 and once in 0009"),
    ]
}

/// Marks of a room of three, the own person included: everybody has it up to `delivered` and read
/// it up to `read`.
pub(crate) fn marks(delivered: u64, read: u64) -> MarkCounts {
    let step = |upto| vec![MarkStep { upto: Seq(upto), n_accounts: 3 }];
    MarkCounts { n_others: 2, delivered: step(delivered), read: step(read) }
}
