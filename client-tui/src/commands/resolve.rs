//! Resolves a word of the command line to a room, a person or a device.
//!
//! Owns the rule, never asks the server: what this device does not know is not found.

use mathia_protocol::client::{PersonRef, RoomView};
use mathia_protocol::crypto::commit::RoomKind;
use mathia_protocol::id::{AccountId, DeviceId, RoomId};
use mathia_protocol::name::Handle;

use crate::exit::{Exit, Failure};

/// Shortest prefix of an identifier that is taken for one: shorter ones fit by accident.
const PREFIX_LEN_MIN: usize = 4;

/// Finds the room a word names among `rooms`: its exact name (a leading `#` is dropped, `@name`
/// means the direct room only), else a prefix of its identifier.
///
/// # Errors
///
/// Exit 3 if nothing fits; exit 2 with the identifiers if several do.
pub(super) fn room<'a>(rooms: &'a [RoomView], word: &str) -> Result<&'a RoomView, Failure> {
    let named = |name: &str, direct_only: bool| -> Vec<&RoomView> {
        rooms
            .iter()
            .filter(|room| room.name == name && !name.is_empty())
            .filter(|room| !direct_only || room.kind == RoomKind::Direct)
            .collect()
    };
    // A room may really be called "#x" or "@x" by another client: the whole word goes first.
    let mut found = named(word, false);
    if found.is_empty() {
        found = match (word.strip_prefix('#'), word.strip_prefix('@')) {
            (Some(name), _) => named(name, false),
            (_, Some(handle)) => named(handle, true),
            _ => rooms.iter().filter(|room| is_prefix(&room.room.to_hex(), word)).collect(),
        };
    }
    match found[..] {
        [room] => Ok(room),
        [] => Err(Failure::new(Exit::NotFound, format!("no room {word:?} among yours"))
            .hint("`mathia-tui rooms` lists them; `mathia-tui lobby` lists open ones to join")),
        _ => Err(ambiguous(word, found.iter().map(|room| room.room))),
    }
}

fn ambiguous(word: &str, ids: impl Iterator<Item = RoomId>) -> Failure {
    let ids: Vec<String> = ids.map(|id| id.to_hex()).collect();
    Failure::new(Exit::Usage, format!("{word:?} fits several rooms: {}", ids.join(" ")))
        .hint("name one by the beginning of its identifier")
}

fn is_prefix(hex: &str, word: &str) -> bool {
    word.len() >= PREFIX_LEN_MIN && hex.starts_with(&word.to_ascii_lowercase())
}

/// Reads a person: a handle (a leading `@` is dropped) or a whole account identifier.
///
/// # Errors
///
/// Exit 2 if it can be neither.
pub(super) fn person(word: &str) -> Result<PersonRef, Failure> {
    if let Some(account) = AccountId::from_hex(word) {
        return Ok(PersonRef::Account(account));
    }
    let handle: Handle = word
        .strip_prefix('@')
        .unwrap_or(word)
        .parse()
        .map_err(|error| Failure::new(Exit::Usage, format!("{word:?} is no name: {error}")))?;
    Ok(PersonRef::Handle(handle))
}

/// Finds one of the own devices by a prefix of its identifier, or by its exact name.
///
/// # Errors
///
/// Exit 3 if nothing fits; exit 2 with the identifiers if several do.
pub(super) fn device<'a>(
    devices: impl Iterator<Item = (DeviceId, &'a str)>,
    word: &str,
) -> Result<DeviceId, Failure> {
    let found: Vec<DeviceId> = devices
        .filter(|(id, name)| is_prefix(&id.to_hex(), word) || *name == word)
        .map(|(id, _)| id)
        .collect();
    match found[..] {
        [id] => Ok(id),
        [] => Err(Failure::new(Exit::NotFound, format!("no device {word:?} of yours"))
            .hint("`mathia-tui devices` lists them")),
        _ => {
            let ids: Vec<String> = found.iter().map(DeviceId::to_hex).collect();
            Err(Failure::new(Exit::Usage, format!("{word:?} fits several: {}", ids.join(" "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::room_named;

    fn rooms() -> Vec<RoomView> {
        let mut direct = room_named("bob", 0xB0);
        direct.kind = RoomKind::Direct;
        vec![
            room_named("team", 0xAA),
            room_named("ops", 0xAB),
            room_named("ops", 0xAC),
            room_named("bob", 0xBB),
            direct,
            room_named("", 0xEE),
        ]
    }

    fn found(word: &str) -> Result<u8, (u8, String)> {
        let rooms = rooms();
        room(&rooms, word)
            .map(|room| room.room.0[0])
            .map_err(|failure| (failure.exit as u8, failure.message))
    }

    #[test]
    fn a_room_is_found_by_name_with_or_without_a_hash_sign() {
        assert_eq!(found("team"), Ok(0xAA));
        assert_eq!(found("#team"), Ok(0xAA));
        assert_eq!(found("Team").unwrap_err().0, 3);
        assert_eq!(found("").unwrap_err().0, 3, "a room without a name is not found by none");
    }

    #[test]
    fn a_room_is_found_by_the_beginning_of_its_identifier() {
        assert_eq!(found("abab"), Ok(0xAB));
        assert_eq!(found("ABAB"), Ok(0xAB));
        assert_eq!(found("ab").unwrap_err().0, 3, "two digits are too few");
    }

    #[test]
    fn a_name_of_two_rooms_is_refused_with_their_identifiers() {
        let (exit, message) = found("ops").unwrap_err();
        assert_eq!(exit, 2);
        assert!(message.contains(&"ab".repeat(32)) && message.contains(&"ac".repeat(32)));
    }

    #[test]
    fn an_at_sign_means_the_direct_room() {
        assert_eq!(found("bob").unwrap_err().0, 2);
        assert_eq!(found("@bob"), Ok(0xB0));
    }

    #[test]
    fn a_person_is_a_handle_or_an_identity() {
        let handle = PersonRef::Handle("bob".parse().unwrap());
        assert_eq!(person("bob"), Ok(handle.clone()));
        assert_eq!(person("@bob"), Ok(handle));
        let account = AccountId([7; 32]);
        assert_eq!(person(&account.to_hex()), Ok(PersonRef::Account(account)));
        assert_eq!(person("Bob!").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_device_is_found_by_prefix_or_name() {
        let devices = [(DeviceId([1; 16]), "laptop"), (DeviceId([2; 16]), "phone")];
        let find = |word| device(devices.into_iter(), word).map_err(|failure| failure.exit);
        assert_eq!(find("0101"), Ok(DeviceId([1; 16])));
        assert_eq!(find("phone"), Ok(DeviceId([2; 16])));
        assert_eq!(find("desk"), Err(Exit::NotFound));
    }
}
