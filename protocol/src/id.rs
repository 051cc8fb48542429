//! Identifiers: fixed byte strings and numbers, each with a type of its own.
//!
//! Owns no rule about what an identifier means; only its size, its text and its short form for logs.

use std::fmt;

use bincode::{Decode, Encode};

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The size on the wire and in every signed encoding, in bytes.
            pub const LEN: usize = $len;
            /// All zero bytes: the value that stands for "none" where a format has no option.
            pub const ZERO: Self = Self([0; $len]);

            /// The first eight hexadecimal digits: enough to tell two apart in a log line.
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }

            /// All bytes as lower-case hexadecimal digits.
            pub fn to_hex(&self) -> String {
                hex(&self.0)
            }

            /// Reads what [`Self::to_hex`] writes; `None` for any other text.
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0u8; $len];
                unhex(text, &mut bytes)?;
                Some(Self(bytes))
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Takes exactly the right number of bytes from a slice; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
    };
}

byte_id!(
    /// A person or a bot: the hash of the link that founded its user chain.
    AccountId, 32
);
byte_id!(
    /// One installation with its own keys: the first half of the hash of its signing key.
    DeviceId, 16
);
byte_id!(
    /// A room: the hash of the commit that created it.
    RoomId, 32
);
byte_id!(
    /// A workspace. A server hosts many; the first milestone has one, [`WorkspaceId::MAIN`].
    WorkspaceId, 16
);
byte_id!(
    /// The identity of a server's data, in every link and in every login.
    Realm, 16
);
byte_id!(
    /// A SHA-256 value with a domain label, see `crypto::labels`.
    Hash, 32
);
byte_id!(
    /// What the server sees of an invite: never the secret itself.
    InviteToken, 16
);

impl WorkspaceId {
    /// The one workspace of the first milestone, named `main`.
    pub const MAIN: Self = Self(*b"main\0\0\0\0\0\0\0\0\0\0\0\0");
}

impl RoomId {
    /// The room identifier seen as the hash it is: `H_0` of the room's log.
    pub fn as_hash(&self) -> Hash {
        Hash(self.0)
    }
}

impl Hash {
    /// The first sixteen bytes, as message headers carry them.
    pub fn first_half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        half
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode,
        )]
        pub struct $name(pub $inner);

        impl $name {
            /// The value one higher. Saturates: no log reaches the end of the number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A place in a room's log, 1 for the first entry; 0 means "before everything".
    Seq, u64
);
number_id!(
    /// The per room and device number that makes a send idempotent, 1 for the first message.
    Counter, u64
);
number_id!(
    /// A generation of a room's key, 1 for the first. Open rooms stay at 0.
    Epoch, u32
);
number_id!(
    /// The server-wide short number of a room, used in events instead of 32 bytes.
    RoomNumber, u32
);
number_id!(
    /// Milliseconds since 1970-01-01 UTC.
    TimeMs, u64
);

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

fn unhex(text: &str, out: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_goes_there_and_back() {
        let id = DeviceId(*b"0123456789abcdef");
        assert_eq!(DeviceId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(DeviceId::from_hex("00"), None);
        assert_eq!(DeviceId::from_hex(&"zz".repeat(16)), None);
        assert_eq!(id.short(), "30313233");
    }
}
