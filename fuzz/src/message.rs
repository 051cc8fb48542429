//! Messages: live, scheduled, with slots, and of open rooms.

use std::sync::LazyLock;

use mathia_protocol::crypto::content::{Answer, Ask, Attached, Content, Emoji, Outcome, Reaction, Stop, Usage};
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::identity::{HpkeSecret, Signature};
use mathia_protocol::crypto::message::{
    Flags, HEADER_LEN, Message, MessageContext, MessageDraft, OpenWith, OpenedMessage, Placement,
    SealWith, SlotReader, seal_message,
};
use mathia_protocol::crypto::plaintext::Plaintext;
use mathia_protocol::id::{Counter, DeviceId, Epoch, Hash, Seq};
use mathia_protocol::limits::SLOTS_MAX;

use crate::Seed;
use crate::genuine::{ANN, CountingBytes, ROOM, TIME};

const AGENT: DeviceId = DeviceId([0x40; 16]);

/// Ann's messages and the keys that open them.
struct Sent {
    sealed: MessageContext,
    open: MessageContext,
    sender_key: SenderKey,
    agent_key: HpkeSecret,
    entries: [(&'static str, Vec<u8>); 4],
}

static SENT: LazyLock<Sent> = LazyLock::new(|| {
    let (room, commit_hash) = (ROOM.state.room(), ROOM.create.hash());
    let (account, device) = (ANN.account(), ANN.key.device_id());
    let sealed = MessageContext { room, commit_hash, account, device };
    let open = MessageContext::open_room(room, account, device);
    let room_key = RoomKey::derive(commit_hash, &EpochSecret::from_bytes(&[1; 32]));
    let sender_key = SenderKey::derive(&room_key, account, device);
    let agent_key = HpkeSecret::from_bytes(&[3; 32]);
    let live = MessageDraft {
        flags: Flags::COUNTABLE,
        epoch: Epoch(1),
        placement: Placement::Live { counter: Counter(2), prev_own: [4; 16] },
        seen_seq: Seq(1),
        seen_hash: Hash([5; 32]),
        time: TIME,
        plaintext: Content::from_text("hello").expect("a short text").encode(),
        agents: Vec::new(),
    };
    let scheduled = Placement::scheduled(&mut CountingBytes(9));
    let reader = SlotReader { device: AGENT, key: agent_key.public() };
    let seal = |context: &MessageContext, with: SealWith<'_>, draft: MessageDraft| {
        seal_message(&mut CountingBytes(0), context, with, &draft, &ANN.key)
            .expect("the draft is valid")
    };
    let with = SealWith::SenderKey(&sender_key);
    let entries = [
        ("live", seal(&sealed, with, live.clone())),
        ("with_slot", seal(&sealed, with, MessageDraft { agents: vec![reader], ..live.clone() })),
        ("scheduled", seal(&sealed, with, MessageDraft { placement: scheduled, ..live.clone() })),
        ("open_room", seal(&open, SealWith::Open, MessageDraft { epoch: Epoch(0), ..live })),
    ];
    Sent { sealed, open, sender_key, agent_key, entries }
});

/// Bytes that may be a stored message: tag, header, slots, text and signature.
pub fn message(data: &[u8]) {
    // The text inside, which a member may have made as it likes.
    if let Ok(plaintext) = Plaintext::decode_padded(data) {
        assert_eq!(plaintext.encode_padded().as_deref(), Some(data), "one way to pad a text");
        let kind = plaintext.kind;
        if let Ok(content) = Content::decode(plaintext.clone()) {
            assert_eq!(content.encode(), plaintext, "content {kind} has one encoding");
        }
    }
    let Ok(message) = Message::decode(data) else { return };
    assert_eq!(message.header().encode(), data[1..=HEADER_LEN], "a header has one encoding");
    assert!(message.agents().count() <= SLOTS_MAX);

    let sent = &*SENT;
    for context in [&sent.sealed, &sent.open] {
        if message.verify_signature(context, &ANN.key.public()).is_ok() {
            assert!(sent.entries.iter().any(|(_, entry)| entry == data), "a forged signature");
        }
    }
    let slot = OpenWith::Slot { device: AGENT, secret: &sent.agent_key };
    for with in [OpenWith::SenderKey(&sent.sender_key), slot] {
        if message.open(&sent.sealed, with).is_ok() {
            let is_sent = sent.entries.iter().any(|(_, entry)| unsigned(entry) == unsigned(data));
            assert!(is_sent, "a changed message opens");
        }
    }
    if let Ok(OpenedMessage { disclosure, .. }) = message.open(&sent.open, OpenWith::Open) {
        // Without a key everybody may make one, but nobody another text for a commitment.
        message.check_disclosure(&disclosure).expect("the commitment was just checked");
    }
}

/// What a member may have put inside: words, a question, its answer, taking it back, and an emoji.
fn texts() -> [(&'static str, Plaintext); 5] {
    let (author, seq, text) = (ANN.account(), Seq(3), "hello".to_owned());
    let shown = Attached { seq, author, handle: "ann".to_owned(), time: TIME, text: text.clone() };
    let ask = Ask {
        agent: author,
        card: Hash([4; 32]),
        again: Some(seq),
        n_left_out: 2,
        text: text.clone(),
        attached: vec![shown],
    };
    let answer = Answer {
        ask: Seq(7),
        ask_hash: [5; 16],
        outcome: Outcome::Interrupted,
        cause: "the line broke".to_owned(),
        text: text.clone(),
        provider: "models.example".to_owned(),
        model: "small-4".to_owned(),
        usage: Some(Usage { prompt: 5, completion: 6, total: 11, is_estimated: true }),
    };
    let emoji = Emoji::parse("\u{1F44D}").expect("a thumb");
    let reaction = Reaction { target: seq, target_hash: [6; 16], emoji, is_removed: true };
    [
        ("padded", Plaintext { kind: 1, body: text.into_bytes() }),
        ("padded_ask", Content::Ask(Box::new(ask)).encode()),
        ("padded_answer", Content::Answer(Box::new(answer)).encode()),
        ("padded_reaction", Content::Reaction(reaction).encode()),
        ("padded_stop", Content::Stop(Stop { agent: author, ask: Seq(7) }).encode()),
    ]
}

fn unsigned(entry: &[u8]) -> &[u8] {
    &entry[..entry.len() - Signature::LEN]
}

/// One message of every kind, and a padded text.
pub(crate) fn seeds() -> Vec<Seed> {
    let sent = &*SENT;
    for (name, entry) in &sent.entries {
        let message = Message::decode(entry).expect("our own message decodes");
        let (context, with) = match *name {
            "open_room" => (&sent.open, OpenWith::Open),
            "with_slot" => {
                (&sent.sealed, OpenWith::Slot { device: AGENT, secret: &sent.agent_key })
            }
            _ => (&sent.sealed, OpenWith::SenderKey(&sent.sender_key)),
        };
        message.verify_signature(context, &ANN.key.public()).expect("our own signature holds");
        message.open(context, with).expect("our own message opens");
    }
    let padded = texts().into_iter().filter_map(|(name, plaintext)| {
        plaintext.encode_padded().map(|padded| (name.to_owned(), padded))
    });
    let entries = sent.entries.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone()));
    entries.chain(padded).collect()
}
