//! Invites: one line of text that says where the server is, how to know it and who asks you in
//! (CRYPTO A5, B7).
//!
//! ```text
//! mathia://host:port/#secret.server.inviter.realm     four times 26 base32 characters
//! mathia://host:port                                  a server with open registration
//! token = H("invite-token", secret)[..16]             what the server sees
//! proof = HMAC-SHA256(secret, user_id)                what the newcomer leaves for the inviter
//! ```
//!
//! Base32 is RFC 4648 in lower case without padding; reading forgives upper case. The part behind
//! `#` holds the secret: never log an invite, `Debug` hides it and there is no `Display`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use rand::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hash::{equal, hash, mac};
use super::labels;
use crate::id::{AccountId, Hash, InviteToken, Realm};

const SCHEME: &str = "mathia://";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of 16 bytes in base32.
const PART_LEN: usize = 26;
/// Longest host name (RFC 1035).
const HOST_LEN_MAX: usize = 253;

/// 128 random bits that only the inviter and the newcomer know.
///
/// No `Clone`, nothing printed, zeroed on drop.
#[derive(ZeroizeOnDrop)]
pub struct InviteSecret([u8; 16]);

impl InviteSecret {
    /// Makes a new random secret.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 16]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(*bytes)
    }

    /// Takes over the bytes of a stored secret.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        Self(*bytes)
    }

    /// Hands out the bytes, to be stored sealed by the inviter.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 16]> {
        Zeroizing::new(self.0)
    }

    /// What the server sees of the secret.
    pub fn token(&self) -> InviteToken {
        InviteToken(hash(labels::INVITE_TOKEN, &[&self.0]).first_half())
    }

    /// What the newcomer leaves so that the inviter's client knows the account is meant.
    pub fn proof(&self, account: AccountId) -> [u8; 32] {
        mac(&self.0, &[&account.0]).0
    }

    /// Checks a proof that a newcomer left, in constant time.
    pub fn check_proof(&self, account: AccountId, proof: &[u8; 32]) -> bool {
        equal(&self.proof(account), proof)
    }
}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(..)")
    }
}

/// What an invite holds behind `#`.
#[derive(Debug)]
pub struct Ticket {
    /// Entitles to register once, or as often as the inviter said.
    pub secret: InviteSecret,
    /// The first half of the SHA-256 of the server's public key (SPKI).
    pub server_pin: [u8; 16],
    /// The first half of the inviter's account; zero if the server made the invite.
    pub inviter: [u8; 16],
    /// The server's data.
    pub realm: Realm,
}

impl Ticket {
    /// Says whether `pin`, the SHA-256 of a server's public key (SPKI), is the promised one.
    pub fn fits_server(&self, pin: Hash) -> bool {
        pin.first_half() == self.server_pin
    }

    /// Says whether `account` is the one that invited.
    pub fn is_from(&self, account: AccountId) -> bool {
        account.0[..16] == self.inviter
    }

    /// Says whether the server itself made the invite, so that no member vouches for it.
    pub fn is_from_server(&self) -> bool {
        self.inviter == [0; 16]
    }
}

/// A parsed invite.
#[derive(Debug)]
pub struct Invite {
    /// Host name, IPv4 or IPv6 address (without brackets), in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What entitles to register; `None` for a server with open registration.
    pub ticket: Option<Ticket>,
}

/// Why a text is no invite, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Another scheme, or no link at all.
    #[error("an invite starts with {SCHEME}: copy the whole line")]
    Scheme,
    /// No host name, or one with characters that none has.
    #[error("the host name is missing or misspelled: an invite reads {SCHEME}host:port/#...")]
    Host,
    /// No port, or no number from 1 to 65535.
    #[error("the port is missing or no number from 1 to 65535: an invite reads {SCHEME}host:port")]
    Port,
    /// Something between the port and `#`.
    #[error("there is something between the port and the # sign: copy the invite again")]
    Path,
    /// Not four parts behind `#`.
    #[error("the invite has {0} of its 4 parts behind the # sign: it was cut, copy the whole line")]
    Parts(usize),
    /// A part is not 26 characters long.
    #[error(
        "part {part} behind the # sign has {len} of {PART_LEN} characters: copy the whole line"
    )]
    PartLength {
        /// Which part, 1 for the first.
        part: usize,
        /// How many characters it has.
        len: usize,
    },
    /// A part has a character that none can have, or ends in one that cannot stand there.
    #[error("part {0} behind the # sign is misspelled: copy the invite instead of typing it")]
    PartText(usize),
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        let has_scheme = text.get(..SCHEME.len()).is_some_and(|s| s.eq_ignore_ascii_case(SCHEME));
        if !has_scheme {
            return Err(InviteError::Scheme);
        }
        let rest = &text[SCHEME.len()..];
        let (place, parts) = match rest.split_once('#') {
            Some((place, parts)) => (place, Some(parts)),
            None => (rest, None),
        };
        let (authority, path) = match place.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (place, ""),
        };
        if !path.is_empty() {
            return Err(InviteError::Path);
        }
        let (host, port) = parse_authority(authority)?;
        let ticket = parts.map(parse_ticket).transpose()?;
        Ok(Self { host, port, ticket })
    }
}

fn parse_authority(authority: &str) -> Result<(String, u16), InviteError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(InviteError::Host)?;
        let address: Ipv6Addr = host.parse().map_err(|_| InviteError::Host)?;
        (address.to_string(), after.strip_prefix(':').ok_or(InviteError::Port)?)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port),
            None if authority.is_empty() => return Err(InviteError::Host),
            None => return Err(InviteError::Port),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || host.len() > HOST_LEN_MAX || !host.chars().all(allowed) {
            return Err(InviteError::Host);
        }
        (host.to_ascii_lowercase(), port)
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InviteError::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(InviteError::Port),
        Ok(port) => Ok((host, port)),
    }
}

fn parse_ticket(text: &str) -> Result<Ticket, InviteError> {
    let n_parts = text.split('.').filter(|part| !part.is_empty()).count();
    let parts: Vec<_> = text.split('.').collect();
    let [secret, server, inviter, realm] = parts.as_slice() else {
        return Err(InviteError::Parts(n_parts));
    };
    let secret = Zeroizing::new(parse_part(1, secret)?);
    Ok(Ticket {
        secret: InviteSecret::from_bytes(&secret),
        server_pin: parse_part(2, server)?,
        inviter: parse_part(3, inviter)?,
        realm: Realm(parse_part(4, realm)?),
    })
}

/// Reads 26 base32 characters as 16 bytes; the two bits left over must be zero.
fn parse_part(part: usize, text: &str) -> Result<[u8; 16], InviteError> {
    let len = text.chars().count();
    if len != PART_LEN {
        return Err(InviteError::PartLength { part, len });
    }
    let mut number = 0u128;
    for (place, byte) in text.bytes().enumerate() {
        let value = match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return Err(InviteError::PartText(part)),
        };
        if place + 1 < PART_LEN {
            number = number << 5 | u128::from(value);
        } else if value.is_multiple_of(4) {
            number = number << 3 | u128::from(value >> 2);
        } else {
            return Err(InviteError::PartText(part));
        }
    }
    Ok(number.to_be_bytes())
}

fn write_part(text: &mut String, bytes: &[u8; 16]) {
    let number = u128::from_be_bytes(*bytes);
    for place in 0..PART_LEN {
        // The last character holds three bits and two zeros.
        let value = if place + 1 < PART_LEN { number >> (123 - 5 * place) } else { number << 2 };
        let index = usize::try_from(value & 31).expect("five bits fit");
        text.push(char::from(ALPHABET[index]));
    }
}

impl Invite {
    /// Writes the invite as the line that people pass on. It holds the secret.
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SCHEME.len() + self.host.len() + 128));
        text.push_str(SCHEME);
        text.push_str(&self.address());
        if let Some(ticket) = &self.ticket {
            text.push_str("/#");
            write_part(&mut text, &ticket.secret.0);
            for part in [&ticket.server_pin, &ticket.inviter, &ticket.realm.0] {
                text.push('.');
                write_part(&mut text, part);
            }
        }
        text
    }

    /// `host:port`, with brackets around an IPv6 address: what may be shown and logged.
    pub fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        let ticket = Ticket {
            secret: InviteSecret::from_bytes(&[0xAB; 16]),
            server_pin: *b"0123456789abcdef",
            inviter: [0; 16],
            realm: Realm([0xFF; 16]),
        };
        Invite { host: "chat.example.org".into(), port: 4433, ticket: Some(ticket) }
    }

    /// Base32 of these 16 bytes computed with Python's `base64.b32encode`.
    const LINE: &str = "mathia://chat.example.org:4433/#vov2xk5lvov2xk5lvov2xk5lvm.\
        gaytemzugu3doobzmfrggzdfmy.aaaaaaaaaaaaaaaaaaaaaaaaaa.77777777777777777777777774";

    #[test]
    fn an_invite_goes_through_text_and_back() {
        assert_eq!(*invite().to_line(), LINE);
        let back: Invite = LINE.parse().unwrap();
        assert_eq!(*back.to_line(), LINE);
        assert_eq!((back.host.as_str(), back.port), ("chat.example.org", 4433));
        let ticket = back.ticket.unwrap();
        assert_eq!(*ticket.secret.to_bytes(), [0xAB; 16]);
        assert!(ticket.is_from_server());
        assert!(!format!("{:?}", invite()).contains("171"), "the secret is not printed");
    }

    #[test]
    fn an_open_server_needs_only_its_address() {
        for text in ["mathia://Chat.Example.org:4433", " mathia://chat.example.org:4433/\n"] {
            let invite: Invite = text.parse().unwrap();
            assert!(invite.ticket.is_none());
            assert_eq!(*invite.to_line(), "mathia://chat.example.org:4433");
        }
        let v6: Invite = "mathia://[2001:db8::1]:4433".parse().unwrap();
        assert_eq!(
            (v6.host.as_str(), v6.address().as_str()),
            ("2001:db8::1", "[2001:db8::1]:4433")
        );
    }

    #[test]
    fn what_is_wrong_with_an_invite_is_said_exactly() {
        let a = "a".repeat(26);
        let cases = [
            ("https://x:1".into(), InviteError::Scheme),
            ("mathia://".into(), InviteError::Host),
            ("mathia://ex\u{e4}mple:1".into(), InviteError::Host),
            ("mathia://[::zz]:1".into(), InviteError::Host),
            ("mathia://host".into(), InviteError::Port),
            ("mathia://host:0".into(), InviteError::Port),
            ("mathia://host:+80".into(), InviteError::Port),
            ("mathia://host:99999".into(), InviteError::Port),
            ("mathia://[::1]".into(), InviteError::Port),
            ("mathia://host:1/room".into(), InviteError::Path),
            (format!("mathia://host:1/#{a}.{a}"), InviteError::Parts(2)),
            ("mathia://host:1/#".into(), InviteError::Parts(0)),
            (
                format!("mathia://host:1/#{a}.{a}.{a}.abc"),
                InviteError::PartLength { part: 4, len: 3 },
            ),
            (format!("mathia://host:1/#{a}.{}1.{a}.{a}", &a[1..]), InviteError::PartText(2)),
            (format!("mathia://host:1/#{}b.{a}.{a}.{a}", &a[1..]), InviteError::PartText(1)),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Invite>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn upper_case_is_forgiven() {
        let line = invite().to_line();
        let shouted: Invite = line.to_uppercase().parse().unwrap();
        assert_eq!(*shouted.to_line(), *line);
    }

    #[test]
    fn a_proof_names_one_account_and_one_invite() {
        let secret = InviteSecret::from_bytes(&[1; 16]);
        let proof = secret.proof(AccountId([2; 32]));
        assert!(secret.check_proof(AccountId([2; 32]), &proof));
        assert!(!secret.check_proof(AccountId([3; 32]), &proof));
        assert!(!InviteSecret::from_bytes(&[4; 16]).check_proof(AccountId([2; 32]), &proof));
        assert_ne!(secret.token(), InviteSecret::from_bytes(&[4; 16]).token());
    }
}
