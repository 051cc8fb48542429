//! Names people type: handles and room names, parsed once, valid ever after.

use std::fmt;
use std::str::FromStr;

use crate::limits::{HANDLE_LEN_MAX, HANDLE_LEN_MIN, ROOM_NAME_LEN_MAX};

/// The public name of an account: `[a-z0-9_-]`, 2 to 32 bytes, ASCII so that no two look alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// Why a text is no handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// Shorter or longer than allowed.
    #[error("a name has {HANDLE_LEN_MIN} to {HANDLE_LEN_MAX} characters, this has {0}")]
    Length(usize),
    /// Holds a character outside the alphabet.
    #[error("a name has only a-z, 0-9, _ and -, not {0:?}")]
    Character(char),
}

impl Handle {
    /// The name of the assistant, which no person may take.
    pub const ASSISTANT: &'static str = "mathia";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = HandleError;

    fn from_str(text: &str) -> Result<Self, HandleError> {
        let n_chars = text.chars().count();
        if !(HANDLE_LEN_MIN..=HANDLE_LEN_MAX).contains(&n_chars) {
            return Err(HandleError::Length(n_chars));
        }
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(HandleError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0)
    }
}

/// The name of a room: 1 to 64 bytes of printable text without leading `#` or outer spaces.
///
/// `Debug` hides it: names of end-to-end rooms never reach a log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(String);

/// Why a text is no room name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// Nothing but spaces.
    #[error("a room needs a name")]
    Empty,
    /// Longer than allowed.
    #[error("a room name has at most {ROOM_NAME_LEN_MAX} bytes, this has {0}")]
    TooLong(usize),
    /// Holds a control character.
    #[error("a room name has no control characters")]
    Control,
}

impl RoomName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<Self, RoomNameError> {
        // All signs, not the first alone: a name must read as itself, or nobody could open it again.
        let text = text.trim_start_matches(|c: char| c == '#' || c.is_whitespace()).trim_end();
        if text.is_empty() {
            return Err(RoomNameError::Empty);
        }
        if text.len() > ROOM_NAME_LEN_MAX {
            return Err(RoomNameError::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(RoomNameError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomName(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_plain_ascii_of_bounded_length() {
        assert!("ann".parse::<Handle>().is_ok());
        assert_eq!("a".parse::<Handle>(), Err(HandleError::Length(1)));
        assert_eq!("Ann".parse::<Handle>(), Err(HandleError::Character('A')));
        assert_eq!("\u{430}nn".parse::<Handle>(), Err(HandleError::Character('\u{430}')));
        assert!("a".repeat(33).parse::<Handle>().is_err());
    }

    #[test]
    fn a_room_name_loses_its_hash_signs_and_outer_spaces() {
        for text in [" #ops ", "##ops", "# # ops"] {
            let name = text.parse::<RoomName>().unwrap();
            assert_eq!(name.as_str(), "ops");
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        assert_eq!("##".parse::<RoomName>(), Err(RoomNameError::Empty));
        assert_eq!("#".parse::<RoomName>(), Err(RoomNameError::Empty));
        assert_eq!("a\u{1b}b".parse::<RoomName>(), Err(RoomNameError::Control));
    }
}
