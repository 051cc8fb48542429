//! Before login: who is there, who are you.

use bincode::{Decode, Encode};

use super::Fault;
use crate::id::{AccountId, DeviceId, Hash, InviteToken, Realm, TimeMs};

/// What a connection says first. [`Opening::Info`] may come once before one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Opening {
    /// Asks which realm this is and whether it takes registrations.
    Info,
    /// Logs a known device in.
    Hello(Hello),
    /// Makes an account and logs its first device in; repeating it is harmless.
    Register(Register),
    /// Adds a device to an account by its recovery key; `Hello` follows on the same stream.
    Recover(Recover),
}

/// The answer to one [`Opening`] frame.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum OpeningReply {
    /// Answers [`Opening::Info`].
    Info(Info),
    /// Answers a successful `Hello` or `Register`; calls may follow.
    Welcome(Welcome),
    /// Answers a successful `Recover`.
    Recovered,
    /// Refuses; the server closes the connection.
    Fault(Fault),
}

/// Who the server is, told to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Info {
    /// The identity of the server's data.
    pub realm: Realm,
    /// How accounts are made here.
    pub registration: Registration,
    /// The newest protocol version the server speaks.
    pub version: u16,
}

/// How accounts are made on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Registration {
    /// With an invite only.
    Invite,
    /// By anybody who can reach the server.
    Open,
}

/// Proves which device is calling: a signature over the TLS exporter, so a relay cannot reuse it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Protocol version of the client.
    pub version: u16,
    /// Bits of optional features the client understands; none are defined yet.
    pub features: u64,
    /// The account.
    pub account: AccountId,
    /// The device, un-revoked in the account's chain.
    pub device: DeviceId,
    /// Device signature, see `crypto::auth`.
    pub signature: [u8; 64],
}

/// Makes an account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Register {
    /// Protocol version of the client.
    pub version: u16,
    /// Bits of optional features the client understands.
    pub features: u64,
    /// The invite, where registration needs one.
    pub token: Option<InviteToken>,
    /// The genesis link of the user chain: `blob || signature`.
    pub genesis: Vec<u8>,
    /// `HMAC-SHA256(invite secret, account)`, left for the inviter's client to check.
    pub proof: Option<[u8; 32]>,
    /// Signature of the first device over exporter, token and genesis.
    pub signature: [u8; 64],
}

/// Adds a device by the recovery key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Recover {
    /// The account.
    pub account: AccountId,
    /// An `AddDevice` link signed by the recovery key.
    pub link: Vec<u8>,
    /// Recovery key's signature over exporter and link.
    pub signature: [u8; 64],
}

/// Login succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The version spoken from now on.
    pub version: u16,
    /// Features both sides have.
    pub features: u64,
    /// The account that is logged in.
    pub account: AccountId,
    /// The server's clock.
    pub time: TimeMs,
    /// What this server allows.
    pub limits: SessionLimits,
    /// Pin of the server's present TLS key.
    pub server_pin: Hash,
    /// Pin of the TLS key that comes next, if a change is planned.
    pub server_pin_next: Option<Hash>,
    /// Length of the account's own chain as the server has it.
    pub chain_seq: u32,
}

/// What the server allows one account, so that clients can say it before they are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SessionLimits {
    /// Sustained messages per minute of one account.
    pub messages_per_minute: u32,
    /// Messages one account may send at once before the rate counts.
    pub messages_burst: u32,
    /// Text of a message in bytes.
    pub text_len_max: u32,
}
