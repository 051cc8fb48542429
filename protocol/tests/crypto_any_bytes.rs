//! Whatever bytes arrive, every parser of `crypto` answers with a value or an error, never a panic,
//! and what it accepts has one encoding.

use mathia_protocol::crypto::at_rest::KeyFile;
use mathia_protocol::crypto::identity::HpkeSecret;
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::message::{HEADER_LEN, Message, MessageHeader};
use mathia_protocol::crypto::plaintext::Plaintext;
use mathia_protocol::crypto::seal::open_once;
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::user_link::{DeviceRecord, UserLink};
use mathia_protocol::crypto::words::from_words;
use proptest::prelude::*;

/// Bytes of any kind, often zero, so that version bytes and lengths are met now and then.
fn bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0u8), 2 => 0u8..4, 1 => any::<u8>()];
    prop::collection::vec(byte, 0..len_max)
}

/// A header that is right but for what `change` does to it.
fn header_bytes() -> impl Strategy<Value = [u8; HEADER_LEN]> {
    (any::<[u8; 32]>(), 0u8..4, 0u8..9, any::<bool>()).prop_map(
        |(noise, suite, flags, is_later)| {
            let mut bytes = [0; HEADER_LEN];
            bytes[0] = 1;
            bytes[1] = suite;
            bytes[3] = flags;
            bytes[7] = suite;
            bytes[8..40].copy_from_slice(&noise);
            bytes[24] = if is_later { 0x80 } else { 0 };
            if is_later {
                bytes[32..48].fill(0);
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn a_header_that_is_read_is_written_the_same(bytes in header_bytes()) {
        if let Ok(header) = MessageHeader::decode(&bytes) {
            prop_assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn an_entry_is_read_or_refused(header in header_bytes(), tag in 0u8..5, rest in bytes(600)) {
        let entry = [&[tag], header.as_slice(), &rest].concat();
        if let Ok(message) = Message::decode(&entry) {
            prop_assert_eq!(message.header().encode(), header);
            prop_assert!(message.agents().count() <= 8);
        }
    }

    #[test]
    fn a_padded_text_that_is_read_is_written_the_same(bytes in bytes(300)) {
        if let Ok(plaintext) = Plaintext::decode_padded(&bytes) {
            prop_assert_eq!(plaintext.encode_padded(), Some(bytes));
        }
    }

    #[test]
    fn what_is_padded_comes_back(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..3000)) {
        let plaintext = Plaintext { kind, body };
        let padded = plaintext.encode_padded().unwrap();
        prop_assert_eq!(Plaintext::decode_padded(&padded), Ok(plaintext));
    }

    #[test]
    fn links_records_and_settings_have_one_encoding(bytes in bytes(400)) {
        if let Ok(link) = UserLink::decode(&bytes) {
            prop_assert_eq!(link.encode(), bytes.clone());
        }
        if let Ok(record) = DeviceRecord::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes.clone());
        }
        if let Ok(settings) = RoomSettings::decode(&bytes) {
            prop_assert_eq!(settings.encode(), bytes);
        }
    }

    #[test]
    fn sealed_things_of_strangers_do_not_open(bytes in bytes(200)) {
        prop_assert!(open_once(&[1; 32], "backup", b"", &bytes).is_err());
        prop_assert!(HpkeSecret::from_bytes(&[1; 32]).open(b"", &bytes).is_err());
    }

    #[test]
    fn a_key_file_is_read_or_refused(bytes in bytes(300), has_mark in any::<bool>()) {
        let mark: &[u8] = if has_mark { b"mathia-k\x01\0" } else { b"" };
        let bytes = [mark, &bytes].concat();
        if let Ok(file) = KeyFile::decode(&bytes, None) {
            // A plain file needs no randomness.
            let written = file.encode(&mut rand::rng(), None);
            prop_assert_eq!(written.as_slice(), bytes.as_slice());
        }
    }

    #[test]
    fn a_link_that_people_paste_is_read_or_refused(
        text in "(mathia://)?[a-z0-9.:\\[\\]\u{e4}-]{0,20}(:[0-9]{0,6})?/?(#[a-z2-7.]{0,110})?\\PC{0,3}",
    ) {
        if let Ok(invite) = text.parse::<Invite>() {
            let line = invite.to_line();
            let again: Invite = line.parse().unwrap();
            prop_assert_eq!(again.to_line(), line);
        }
    }

    #[test]
    fn any_words_are_read_or_refused(text in "([a-z]{1,8}[ \n]{1,2}){0,26}\\PC{0,5}") {
        prop_assert!(from_words::<16>(&text).is_err());
        prop_assert!(from_words::<32>(&text).is_err());
    }
}
