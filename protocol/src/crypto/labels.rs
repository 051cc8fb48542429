//! Every domain label of the protocol on one page (CRYPTO B1).
//!
//! A label separates what is signed, hashed or derived for one purpose from all other purposes. On
//! the way into a primitive it becomes `"mathia/v1/" || label || 0x00`, so a label must never hold
//! a zero byte and must never be given a second meaning.

/// What stands before every label; a change of it is a change of the whole protocol.
pub const PREFIX: &[u8] = b"mathia/v1/";

/// Hash: a signing key becomes a device identifier (B2).
pub const DEVICE_ID: &str = "device-id";
/// Hash: a genesis link becomes an account identifier (B2).
pub const USER_ID: &str = "user-id";
/// Hash: a user chain link becomes the `prev` of the next (B2).
pub const USER_LINK_HASH: &str = "user-link-hash";
/// Signature: a user chain link (B2).
pub const USER_LINK: &str = "user-link";
/// Signature: a new device agrees to join a user chain (B2).
pub const DEVICE_OFFER: &str = "device-offer";

/// Hash: one step of a room's rolling hash `H_n` (B3).
pub const LOG: &str = "log";
/// Signature: a commit (B3).
pub const COMMIT: &str = "commit";
/// Hash: a commit becomes the `prev_commit` of the next (B3).
pub const COMMIT_HASH: &str = "commit-hash";
/// Hash: the sorted member list (B3).
pub const MEMBERS: &str = "members";
/// Hash: the policy of a room (B3).
pub const POLICY: &str = "policy";
/// Hash: the commitment to an epoch secret (B3).
pub const KEY_COMMIT: &str = "key-commit";
/// HPKE: an epoch secret for a device (B3).
pub const WRAP: &str = "wrap";
/// HPKE: older epoch secrets for a newcomer's device (B3).
pub const GRANT: &str = "grant";
/// Derivation: the key of the box that holds the previous epoch secret (B3).
pub const PREV: &str = "prev";
/// Seal: the box that holds the previous epoch secret (B3).
pub const PREV_BOX: &str = "prev-box";
/// Derivation and seal: the box that holds the name of an end-to-end room (B3).
pub const SETTINGS: &str = "settings";

/// Derivation: the sender key of one device in one epoch (B4).
pub const SENDER: &str = "sender";
/// Derivation: the keys of one message (B4).
pub const MSG: &str = "msg";
/// Associated data of a message (B4).
pub const AAD: &str = "aad";
/// HMAC: the commitment that makes abuse reports provable (B4).
pub const FRANK: &str = "frank";
/// HPKE: the keys of one message for one agent (B4).
pub const SLOT: &str = "slot";
/// Derivation: the keys of one chunk of a file (B4).
pub const FILE: &str = "file";
/// Signature: a read tick (B4).
pub const READ: &str = "read";
/// Hash: the padded text of a message in an open room (B6).
pub const OPEN_PT: &str = "open-pt";

/// SHA-512: the digits two people compare (B5).
pub const FP: &str = "fp";
/// Hash: the digits members of a room compare (B5).
pub const ROOM_CODE: &str = "room-code";

/// HPKE: a sender key for an agent (B6).
pub const AGENT_KEY: &str = "agent-key";
/// Signature: the wrap of a sender key for an agent (B6).
pub const AGENT_WRAP: &str = "agent-wrap";
/// Derivation and signature: one piece of an answer on its way (B6).
pub const DELTA: &str = "delta";
/// Signature: what an agent says of itself (B6).
pub const AGENT_CARD: &str = "agent-card";
/// Hash: what an agent's card promises (B6).
pub const AGENT_CARD_HASH: &str = "agent-card-hash";
/// Seal: the key of an open room at rest (B6).
pub const OPEN_ROOM: &str = "open-room";
/// Seal: an entry or a name of an open room at rest (B6).
pub const OPEN_ENTRY: &str = "open-entry";
/// Seal: a scheduled entry of an open room at rest (B6).
pub const OPEN_SCHEDULE: &str = "open-schedule";
/// Derivation: the key that tags names of open rooms at rest (B6).
pub const NAME_TAG: &str = "name-tag";
/// Seal: an invite's token at rest (B7).
pub const INVITE_AT_REST: &str = "invite-at-rest";
/// Derivation: the keys by which a server ends connections of its life before a crash (C1).
pub const RESET: &str = "reset";

/// Hash: the context of the TLS exporter (B7).
pub const AUTH_CTX: &str = "auth-ctx";
/// Signature: a login (B7).
pub const AUTH: &str = "auth";
/// Signature: a registration (B7).
pub const REGISTER: &str = "register";
/// Signature: a recovery (B7).
pub const RECOVER: &str = "recover";
/// Hash: an invite secret becomes the token the server knows (B7).
pub const INVITE_TOKEN: &str = "invite-token";
/// Derivation: the recovery signing key (B7).
pub const REC_SIGN: &str = "rec-sign";
/// Derivation and seal: the backup (B7).
pub const BACKUP: &str = "backup";
/// Seal: the client's key file (C4).
pub const KEY_FILE: &str = "key-file";
/// Seal: one value of the client's replica, in its place (C4).
pub const REPLICA: &str = "replica";
/// Derivation: finds a name in the client's replica without saying it (C4).
pub const REPLICA_INDEX: &str = "replica-index";
