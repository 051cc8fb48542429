//! Stories about messages, and the specification's own vector (CRYPTO B11).

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::crypto::content::Content;
use crate::crypto::epoch::{EpochSecret, RoomKey};
use crate::id::Counter;

/// A device with its keys in a room.
struct Writer {
    key: SigningKey,
    sender_key: SenderKey,
    context: MessageContext,
}

fn writer(rng: &mut StdRng) -> Writer {
    let key = SigningKey::generate(rng);
    let (account, device) = (AccountId([4; 32]), key.device_id());
    let commit_hash = Hash([2; 32]);
    let room_key = RoomKey::derive(commit_hash, &EpochSecret::from_bytes(&[5; 32]));
    let sender_key = SenderKey::derive(&room_key, account, device);
    Writer {
        context: MessageContext { room: RoomId([1; 32]), commit_hash, account, device },
        key,
        sender_key,
    }
}

fn draft(text: &str) -> MessageDraft {
    MessageDraft {
        flags: Flags::COUNTABLE,
        epoch: Epoch(1),
        placement: Placement::Live { counter: Counter(1), prev_own: [0; 16] },
        seen_seq: Seq(7),
        seen_hash: Hash([8; 32]),
        time: TimeMs(1_800_000_000_000),
        plaintext: Content::from_text(text).unwrap().encode(),
        agents: Vec::new(),
    }
}

fn seal(rng: &mut StdRng, ann: &Writer, draft: &MessageDraft) -> Vec<u8> {
    seal_message(rng, &ann.context, SealWith::SenderKey(&ann.sender_key), draft, &ann.key).unwrap()
}

fn open(entry: &[u8], ann: &Writer) -> Result<OpenedMessage, MessageError> {
    let message = Message::decode(entry)?;
    message.verify_signature(&ann.context, &ann.key.public())?;
    message.open(&ann.context, OpenWith::SenderKey(&ann.sender_key))
}

#[test]
fn the_vector_of_the_specification_comes_out() {
    let device = DeviceId([0x55; 16]);
    let account = AccountId([0x44; 32]);
    let room_key = RoomKey::derive(Hash([0x11; 32]), &EpochSecret::from_bytes(&[0x22; 32]));
    let sender_key = SenderKey::derive(&room_key, account, device);
    let keys = MessageKeys::derive(&sender_key, 1, &[0x66; 16]);
    let padded = Content::from_text("hello").unwrap().encode().encode_padded().unwrap();
    assert_eq!(
        frank(keys.franking_key(), &padded).to_hex(),
        "1ee083886ea332b091f4faca68351a64a893c57c0344a82502775efedbae5582"
    );
    let (room, commit_hash) = (RoomId([0x77; 32]), Hash([0x11; 32]));
    let context = MessageContext { room, commit_hash, account, device };
    let ct = aead_seal(keys.once(), &aad(&context, &[0x88; HEADER_LEN], &[]), &padded);
    let ct: String =
        ct.chunks(16).map(|part| DeviceId::from_slice(part).unwrap().to_hex()).collect();
    assert_eq!(
        ct,
        "9f1ea4e3e74bc6b8daa4f4ca119d2dd75505918dd8cd10d9dc0478687097a7fac653275980108fa92531776c72\
         75b9d83f285c80649e9212794f433247a48a96c8b298a2ee7d4c582490c6a2ff290701"
    );
}

#[test]
fn a_message_is_read_by_who_holds_the_key_of_its_sender_and_epoch() {
    let mut rng = StdRng::seed_from_u64(1);
    let ann = writer(&mut rng);
    let entry = seal(&mut rng, &ann, &draft("hello"));
    assert_eq!(entry.len(), 1 + 128 + 64 + 16 + 64);
    let opened = open(&entry, &ann).unwrap();
    assert_eq!(Content::decode(opened.plaintext), Ok(Content::from_text("hello").unwrap()));

    let message = Message::decode(&entry).unwrap();
    let other = SenderKey::from_bytes(&[9; 32]);
    let refused = message.open(&ann.context, OpenWith::SenderKey(&other));
    assert_eq!(refused, Err(MessageError::Open(OpenError)));
    let refused = message.open(&ann.context, OpenWith::Open);
    assert_eq!(refused, Err(MessageError::Suite(Suite::Sealed)));
}

#[test]
fn a_message_carried_to_another_room_or_epoch_is_refused() {
    let mut rng = StdRng::seed_from_u64(2);
    let ann = writer(&mut rng);
    let entry = seal(&mut rng, &ann, &draft("hello"));
    let message = Message::decode(&entry).unwrap();
    let elsewhere = MessageContext { room: RoomId([9; 32]), ..ann.context };
    let later = MessageContext { commit_hash: Hash([9; 32]), ..ann.context };
    for context in [elsewhere, later] {
        let verified = message.verify_signature(&context, &ann.key.public());
        assert_eq!(verified, Err(MessageError::Signature(BadSignature)));
        let opened = message.open(&context, OpenWith::SenderKey(&ann.sender_key));
        assert_eq!(opened, Err(MessageError::Open(OpenError)));
    }
}

#[test]
fn nobody_can_sign_for_a_device_that_is_not_his() {
    let mut rng = StdRng::seed_from_u64(3);
    let (ann, eve) = (writer(&mut rng), writer(&mut rng));
    let with = SealWith::SenderKey(&ann.sender_key);
    let forged = seal_message(&mut rng, &ann.context, with, &draft("hi"), &eve.key);
    assert_eq!(forged, Err(SealError::Device));

    let entry = seal(&mut rng, &ann, &draft("hello"));
    let message = Message::decode(&entry).unwrap();
    let verified = message.verify_signature(&ann.context, &eve.key.public());
    assert_eq!(verified, Err(MessageError::Device));
}

#[test]
fn no_single_flipped_bit_survives() {
    let mut rng = StdRng::seed_from_u64(4);
    let ann = writer(&mut rng);
    let agent = HpkeSecret::generate(&mut rng);
    let reader = SlotReader { device: DeviceId([6; 16]), key: agent.public() };
    let draft = MessageDraft { agents: vec![reader], ..draft("hello") };
    let entry = seal(&mut rng, &ann, &draft);
    assert!(open(&entry, &ann).is_ok());
    for bit in 0..entry.len() * 8 {
        let mut flipped = entry.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&flipped, &ann).is_err(), "bit {bit}");
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_without_a_panic() {
    let mut rng = StdRng::seed_from_u64(5);
    let ann = writer(&mut rng);
    let entry = seal(&mut rng, &ann, &draft("hello"));
    for len in 0..entry.len() {
        assert!(Message::decode(&entry[..len]).is_err());
    }
}

#[test]
fn an_agent_reads_the_message_that_was_sealed_to_it_and_nothing_else() {
    let mut rng = StdRng::seed_from_u64(6);
    let ann = writer(&mut rng);
    let (agent, device) = (HpkeSecret::generate(&mut rng), DeviceId([6; 16]));
    let stranger = HpkeSecret::generate(&mut rng);
    let reader = SlotReader { device, key: agent.public() };
    let asked = MessageDraft { agents: vec![reader], ..draft("@mathia, what is up?") };
    let (asked, unasked) = (seal(&mut rng, &ann, &asked), seal(&mut rng, &ann, &draft("psst")));

    let message = Message::decode(&asked).unwrap();
    assert!(message.header().flags.has(Flags::HAS_SLOTS.and(Flags::COUNTABLE)));
    assert_eq!(message.agents().collect::<Vec<_>>(), [device]);
    let by_agent = message.open(&ann.context, OpenWith::Slot { device, secret: &agent }).unwrap();
    assert_eq!(by_agent, open(&asked, &ann).unwrap());
    let by_stranger = message.open(&ann.context, OpenWith::Slot { device, secret: &stranger });
    assert_eq!(by_stranger, Err(MessageError::Slot(BadWrap)));

    let message = Message::decode(&unasked).unwrap();
    let by_agent = message.open(&ann.context, OpenWith::Slot { device, secret: &agent });
    assert_eq!(by_agent, Err(MessageError::NoSlot));
}

#[test]
fn agents_are_named_once_and_never_in_an_open_room() {
    let mut rng = StdRng::seed_from_u64(7);
    let ann = writer(&mut rng);
    let key = HpkeSecret::generate(&mut rng).public();
    let reader = |n: u8| SlotReader { device: DeviceId([n; 16]), key };
    let twice = MessageDraft { agents: vec![reader(1), reader(1)], ..draft("hi") };
    let many = (0..9).map(reader).collect();
    let many = MessageDraft { agents: many, ..draft("hi") };
    for draft in [&twice, &many] {
        let with = SealWith::SenderKey(&ann.sender_key);
        let sealed = seal_message(&mut rng, &ann.context, with, draft, &ann.key);
        assert_eq!(sealed, Err(SealError::Agents));
    }
    let open_room = MessageDraft { epoch: Epoch(0), agents: vec![reader(1)], ..draft("hi") };
    let sealed = seal_message(&mut rng, &ann.context, SealWith::Open, &open_room, &ann.key);
    assert_eq!(sealed, Err(SealError::Agents));
}

#[test]
fn a_message_of_an_open_room_is_plain_but_signed_and_committed() {
    let mut rng = StdRng::seed_from_u64(8);
    let ann = writer(&mut rng);
    let context =
        MessageContext::open_room(ann.context.room, ann.context.account, ann.context.device);
    let draft = MessageDraft { epoch: Epoch(0), ..draft("hello all") };
    let entry = seal_message(&mut rng, &context, SealWith::Open, &draft, &ann.key).unwrap();
    assert!(entry.windows(9).any(|text| text == b"hello all"));
    let message = Message::decode(&entry).unwrap();
    assert_eq!(message.header().suite, Suite::Open);
    assert_eq!(message.verify_signature(&context, &ann.key.public()), Ok(()));
    let opened = message.open(&context, OpenWith::Open).unwrap();
    assert_eq!(opened.plaintext, draft.plaintext);
    assert_eq!(message.check_disclosure(&opened.disclosure), Ok(draft.plaintext.clone()));

    for bit in 0..entry.len() * 8 {
        let mut flipped = entry.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let survives = Message::decode(&flipped)
            .is_ok_and(|message| message.verify_signature(&context, &ann.key.public()).is_ok());
        assert!(!survives, "bit {bit}");
    }
}

#[test]
fn a_draft_that_nobody_would_accept_is_refused_before_it_is_sent() {
    let mut rng = StdRng::seed_from_u64(9);
    let ann = writer(&mut rng);
    let no_epoch = MessageDraft { epoch: Epoch(0), ..draft("hi") };
    let placement = Placement::Live { counter: Counter(0), prev_own: [0; 16] };
    let no_counter = MessageDraft { placement, ..draft("hi") };
    for draft in [no_epoch, no_counter] {
        let with = SealWith::SenderKey(&ann.sender_key);
        let sealed = seal_message(&mut rng, &ann.context, with, &draft, &ann.key);
        assert!(matches!(sealed, Err(SealError::Draft(_))));
    }
    let plaintext = Plaintext { kind: 6, body: vec![0; 62 * 1024] };
    let long = MessageDraft { plaintext, ..draft("hi") };
    let with = SealWith::SenderKey(&ann.sender_key);
    let sealed = seal_message(&mut rng, &ann.context, with, &long, &ann.key);
    assert_eq!(sealed, Err(SealError::TooLong(62 * 1024)));
}

#[test]
fn a_scheduled_message_keeps_its_own_tag_and_cannot_be_passed_off_as_live() {
    let mut rng = StdRng::seed_from_u64(10);
    let ann = writer(&mut rng);
    let scheduled = MessageDraft { placement: Placement::scheduled(&mut rng), ..draft("later") };
    let mut entry = seal(&mut rng, &ann, &scheduled);
    assert_eq!(entry[0], TAG_SCHEDULED);
    assert!(open(&entry, &ann).is_ok());
    entry[0] = TAG_MESSAGE;
    assert!(Message::decode(&entry).is_err());
}

#[test]
fn a_report_proves_what_was_written_and_a_false_one_fails() {
    let mut rng = StdRng::seed_from_u64(11);
    let ann = writer(&mut rng);
    let entry = seal(&mut rng, &ann, &draft("something bad"));
    let report = open(&entry, &ann).unwrap().disclosure;
    let message = Message::decode(&entry).unwrap();
    assert_eq!(message.check_disclosure(&report), Ok(draft("something bad").plaintext));

    let padded = draft("something worse").plaintext.encode_padded().unwrap();
    let invented = Disclosure { padded, ..report.clone() };
    assert_eq!(message.check_disclosure(&invented), Err(MessageError::Commitment));
    let wrong_key = Disclosure { franking_key: [0; 32], ..report };
    assert_eq!(message.check_disclosure(&wrong_key), Err(MessageError::Commitment));
}

#[test]
fn a_text_that_the_header_does_not_commit_to_is_refused() {
    // A sender with two keys under which one ciphertext opens could show two texts: the commitment
    // stops it. Here the sender simply commits to another text and signs all of it.
    let mut rng = StdRng::seed_from_u64(12);
    let ann = writer(&mut rng);
    let entry = seal(&mut rng, &ann, &draft("hello"));
    let mut header = *Message::decode(&entry).unwrap().header();
    header.pt_com = Hash([0; 32]);
    let header_bytes = header.encode();
    let keys = MessageKeys::derive(&ann.sender_key, header.ctr(), &header.salt);
    let padded = draft("hello").plaintext.encode_padded().unwrap();
    let ct = aead_seal(keys.once(), &aad(&ann.context, &header_bytes, &[]), &padded);
    let text: [&[u8]; 4] = [&ann.context.room.0, &ann.context.commit_hash.0, &header_bytes, &ct];
    let signature = ann.key.sign(labels::MSG, &text);
    let forged = [&[TAG_MESSAGE], header_bytes.as_slice(), &ct, &signature.0].concat();
    assert_eq!(open(&forged, &ann), Err(MessageError::Commitment));
}

#[test]
fn sealing_the_same_draft_again_gives_other_bytes() {
    let mut rng = StdRng::seed_from_u64(13);
    let ann = writer(&mut rng);
    let first = seal(&mut rng, &ann, &draft("hello"));
    let second = seal(&mut rng, &ann, &draft("hello"));
    assert_ne!(first[129..193], second[129..193]);
    assert_ne!(prev_own(&first), prev_own(&second));
}
