//! A commit: one signed change of a room, and the only way its members and keys change (CRYPTO B3).
//!
//! ```text
//! E_n  = 1 || blob || signature
//! blob = ver u8 | suite u8 | kind u8 | commit_no u32 | prev_commit[32] | author[32] | device[16] |
//!        epoch u32 | kc[32] | members_hash[32] | policy_hash[32] | seen_seq u64 | seen_hash[32] |
//!        prev_box opt bytes | settings_box opt bytes | time_ms u64 | body bytes
//! body = room_kind u8 (only in Create) | changed: list Member | removed: list user_id | policy opt
//! ```
//!
//! Owns the format, the signature and the hash of commits. Whether a commit may be is a rule of
//! `log::validate`; nothing here decides.

use std::fmt;
use std::ops::Deref;

use super::ce::{CeError, Reader, Writer, byte_enum};
use super::hash::{hash, sha256};
use super::identity::{BadSignature, Signature, SigningKey, VerifyKey};
use super::labels;
pub use super::member::{Member, Role, members_hash};
use super::member::{read_members, write_members};
pub use super::policy::{AgentScope, HistoryRule, Policy, RoomMode, WhoAdds};
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use crate::limits::{COMMIT_LEN_MAX, MEMBERS_MAX, SETTINGS_BOX_LEN_MAX};

/// First byte of a stored commit.
pub const TAG_COMMIT: u8 = 1;
/// The version of the commit format.
pub const COMMIT_VERSION: u8 = 1;
/// Suite of open rooms: no keys at all.
pub const SUITE_OPEN: u8 = 0;
/// Suite of end-to-end rooms: SHA-256, Ed25519, AES-256-GCM, X25519.
pub const SUITE_E2EE: u8 = 1;
/// Size of a `prev_box`: salt (16), epoch secret (32), tag (16), in bytes.
pub const PREV_BOX_LEN: usize = 64;

byte_enum!(
    /// What a commit does.
    CommitKind, "commit kind", {
        /// Founds the room with all its first members.
        Create = 0,
        /// Adds members.
        Add = 1,
        /// Removes others.
        Remove = 2,
        /// Removes its author.
        Leave = 3,
        /// Changes roles.
        SetRole = 4,
        /// Starts a new epoch, perhaps with another name; changes no member.
        Rotate = 5,
        /// Replaces the policy.
        SetPolicy = 6,
        /// Adds or removes agents that read only what is sealed to them.
        SetAgent = 7,
    }
);

byte_enum!(
    /// What a room is for; fixed when it is created.
    RoomKind, "room kind", {
        /// Any number of people.
        Group = 0,
        /// Exactly two people, for ever.
        Direct = 1,
        /// People and an assistant that reads everything.
        Assistant = 2,
    }
);

/// Everything a commit says, before its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct CommitFields {
    /// [`SUITE_E2EE`], or [`SUITE_OPEN`] in open rooms.
    pub suite: u8,
    /// What it does.
    pub kind: CommitKind,
    /// 1 for Create, then one more each time.
    pub commit_no: u32,
    /// Hash of the commit before; in Create, 32 random bytes.
    pub prev_commit: Hash,
    /// Who commits.
    pub author: AccountId,
    /// The author's device, whose key signs.
    pub device: DeviceId,
    /// The epoch after this commit; 0 in open rooms.
    pub epoch: Epoch,
    /// Commitment to the secret of that epoch; zero in open rooms.
    pub kc: Hash,
    /// Hash of all members after this commit.
    pub members_hash: Hash,
    /// Hash of the policy after this commit.
    pub policy_hash: Hash,
    /// The last log position the author verified; 0 in Create.
    pub seen_seq: Seq,
    /// `H` at that position; zero in Create.
    pub seen_hash: Hash,
    /// The secret of the epoch before, sealed under the new one.
    pub prev_box: Option<Vec<u8>>,
    /// Name, topic and picture: sealed under the new epoch's secret, or plain in open rooms.
    pub settings_box: Option<Vec<u8>>,
    /// The author's clock.
    pub time: TimeMs,
    /// What the room is for; only in Create.
    pub room_kind: Option<RoomKind>,
    /// Every member whose record differs from the state before, sorted by account.
    pub changed: Vec<Member>,
    /// Every member that is no longer one, sorted.
    pub removed: Vec<AccountId>,
    /// The new policy; only in Create and `SetPolicy`.
    pub policy: Option<Policy>,
}

impl CommitFields {
    /// Signs the commit with its author's device key.
    ///
    /// The lists are brought into the order of the format first.
    ///
    /// # Errors
    ///
    /// [`CeError`] if the fields break a limit of the format; retrying never helps.
    pub fn sign(mut self, key: &SigningKey) -> Result<Commit, CeError> {
        self.changed.sort_unstable_by_key(|member| member.account);
        self.removed.sort_unstable();
        let blob = self.encode();
        let signature = key.sign(labels::COMMIT, &[&blob]);
        let mut entry = Vec::with_capacity(1 + blob.len() + Signature::LEN);
        entry.push(TAG_COMMIT);
        entry.extend_from_slice(&blob);
        entry.extend_from_slice(&signature.0);
        Commit::decode(entry)
    }

    fn encode(&self) -> Vec<u8> {
        let body = self.encode_body();
        let boxes = |field: &Option<Vec<u8>>| field.as_ref().map_or(0, Vec::len);
        let mut w = Writer::with_capacity(
            400 + boxes(&self.prev_box) + boxes(&self.settings_box) + body.len(),
        );
        w.u8(COMMIT_VERSION).u8(self.suite).u8(self.kind.to_byte()).u32(self.commit_no);
        w.fixed(self.prev_commit.as_bytes());
        w.fixed(self.author.as_bytes()).fixed(self.device.as_bytes());
        w.u32(self.epoch.0).fixed(self.kc.as_bytes());
        w.fixed(self.members_hash.as_bytes()).fixed(self.policy_hash.as_bytes());
        w.u64(self.seen_seq.0).fixed(self.seen_hash.as_bytes());
        for field in [&self.prev_box, &self.settings_box] {
            w.option(field.as_ref(), |w, bytes| {
                w.bytes(bytes);
            });
        }
        w.u64(self.time.0).bytes(&body);
        w.finish()
    }

    /// `body`: a variable field of the blob, so its length stands before it.
    fn encode_body(&self) -> Vec<u8> {
        let len = self.changed.len() * Member::LEN + self.removed.len() * AccountId::LEN;
        let mut w = Writer::with_capacity(32 + len);
        if let Some(room_kind) = self.room_kind {
            w.u8(room_kind.to_byte());
        }
        write_members(&mut w, self.changed.iter());
        w.count(self.removed.len());
        for account in &self.removed {
            w.fixed(account.as_bytes());
        }
        w.option(self.policy, |w, policy| policy.write(w));
        w.finish()
    }

    fn decode(blob: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(blob);
        match r.u8()? {
            COMMIT_VERSION => {}
            value => return Err(CeError::Unknown { what: "commit version", value }),
        }
        let suite = match r.u8()? {
            suite @ (SUITE_OPEN | SUITE_E2EE) => suite,
            value => return Err(CeError::Unknown { what: "suite", value }),
        };
        let kind = CommitKind::from_byte(r.u8()?)?;
        let mut fields = Self {
            suite,
            kind,
            commit_no: r.u32()?,
            prev_commit: Hash(r.array()?),
            author: AccountId(r.array()?),
            device: DeviceId(r.array()?),
            epoch: Epoch(r.u32()?),
            kc: Hash(r.array()?),
            members_hash: Hash(r.array()?),
            policy_hash: Hash(r.array()?),
            seen_seq: Seq(r.u64()?),
            seen_hash: Hash(r.array()?),
            prev_box: r.option(|r| r.bytes(PREV_BOX_LEN).map(<[u8]>::to_vec))?,
            settings_box: r.option(|r| r.bytes(SETTINGS_BOX_LEN_MAX).map(<[u8]>::to_vec))?,
            time: TimeMs(r.u64()?),
            room_kind: None,
            changed: Vec::new(),
            removed: Vec::new(),
            policy: None,
        };
        let body = r.bytes(COMMIT_LEN_MAX)?;
        r.finish()?;
        fields.decode_body(body)?;
        Ok(fields)
    }

    fn decode_body(&mut self, body: &[u8]) -> Result<(), CeError> {
        let mut r = Reader::new(body);
        if self.kind == CommitKind::Create {
            self.room_kind = Some(RoomKind::from_byte(r.u8()?)?);
        }
        self.changed = read_members(&mut r)?;
        self.removed = read_removed(&mut r)?;
        self.policy = r.option(Policy::read)?;
        r.finish()
    }
}

impl fmt::Debug for CommitFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The boxes stay out: in open rooms the settings are plain, and names reach no log.
        f.debug_struct("Commit")
            .field("kind", &self.kind)
            .field("commit_no", &self.commit_no)
            .field("author", &self.author)
            .field("device", &self.device)
            .field("epoch", &self.epoch.0)
            .field("n_changed", &self.changed.len())
            .field("n_removed", &self.removed.len())
            .finish_non_exhaustive()
    }
}

fn read_removed(r: &mut Reader<'_>) -> Result<Vec<AccountId>, CeError> {
    let n_removed = r.count(MEMBERS_MAX.min(r.remaining() / AccountId::LEN))?;
    let mut removed = Vec::with_capacity(n_removed);
    for _ in 0..n_removed {
        let account = AccountId(r.array()?);
        if removed.last().is_some_and(|last| *last >= account) {
            return Err(CeError::Unsorted("removed"));
        }
        removed.push(account);
    }
    Ok(removed)
}

/// A signed commit: what it says, and the exact bytes that were signed and are hashed.
///
/// Its fields are read through `Deref`. They can not be changed: that would need a new signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Commit {
    fields: CommitFields,
    entry: Vec<u8>,
    hash: Hash,
}

impl Commit {
    /// Reads a stored commit, `E_n = 1 || blob || signature`; the signature is not checked here.
    ///
    /// # Errors
    ///
    /// [`CeError`] if the bytes are not the one encoding of a commit; retrying never helps.
    pub fn decode(entry: impl Into<Vec<u8>>) -> Result<Self, CeError> {
        let entry = entry.into();
        if entry.len() > COMMIT_LEN_MAX {
            return Err(CeError::TooLong { len: entry.len(), max: COMMIT_LEN_MAX });
        }
        let (tag, signed) = entry.split_first().ok_or(CeError::Short)?;
        if *tag != TAG_COMMIT {
            return Err(CeError::Unknown { what: "commit tag", value: *tag });
        }
        let (blob, _) = Signature::split_from(signed).ok_or(CeError::Short)?;
        let fields = CommitFields::decode(blob)?;
        let hash = hash(labels::COMMIT_HASH, &[signed]);
        Ok(Self { fields, entry, hash })
    }

    /// The stored bytes, `E_n`.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// SHA-256 of the stored bytes, as the log's rolling hash takes it in.
    pub fn entry_hash(&self) -> Hash {
        sha256(&[&self.entry])
    }

    /// What the next commit, the wraps and the messages of the epoch name:
    /// `H("commit-hash", blob || signature)`.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The room that a Create founds: its commit hash. `None` for other kinds.
    pub fn room_id(&self) -> Option<RoomId> {
        (self.fields.kind == CommitKind::Create).then_some(RoomId(self.hash.0))
    }

    /// Checks the signature over the received bytes.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if the key, or any byte, differs. Retrying never helps.
    pub fn verify(&self, key: &VerifyKey) -> Result<(), BadSignature> {
        let signed = self.entry.get(1..).ok_or(BadSignature)?;
        let (blob, signature) = Signature::split_from(signed).ok_or(BadSignature)?;
        key.verify(labels::COMMIT, &[blob], &signature)
    }
}

impl Deref for Commit {
    type Target = CommitFields;

    fn deref(&self) -> &CommitFields {
        &self.fields
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn fields() -> CommitFields {
        let key = key();
        let member = |byte: u8, role| Member {
            account: AccountId([byte; 32]),
            role,
            flags: 0,
            chain_seq: 1,
            chain_hash: Hash([byte; 32]),
        };
        let mut changed = vec![member(3, Role::Owner), member(9, Role::Member)];
        CommitFields {
            suite: SUITE_E2EE,
            kind: CommitKind::Create,
            commit_no: 1,
            prev_commit: Hash([1; 32]),
            author: AccountId([3; 32]),
            device: key.device_id(),
            epoch: Epoch(1),
            kc: Hash([2; 32]),
            members_hash: members_hash(changed.iter()),
            policy_hash: Policy::GROUP.hash(),
            seen_seq: Seq(0),
            seen_hash: Hash::ZERO,
            prev_box: None,
            settings_box: Some(vec![5; 60]),
            time: TimeMs(1_000),
            room_kind: Some(RoomKind::Group),
            changed: {
                changed.reverse();
                changed
            },
            removed: Vec::new(),
            policy: Some(Policy::GROUP),
        }
    }

    #[test]
    fn a_signed_commit_is_read_back_and_verifies() {
        let commit = fields().sign(&key()).unwrap();
        let read = Commit::decode(commit.entry()).unwrap();
        assert_eq!(read, commit);
        assert_eq!(read.verify(&key().public()), Ok(()));
        assert_eq!(read.room_id(), Some(RoomId(commit.hash().0)));
        assert_eq!(read.changed[0].account, AccountId([3; 32]), "the list was sorted");
    }

    /// The values were computed a second time by another program from the format's description.
    #[test]
    fn the_format_and_its_hashes_are_pinned() {
        let fields = CommitFields { device: DeviceId([0xDD; 16]), ..fields() };
        assert_eq!(
            fields.policy_hash.to_hex(),
            "97f048d315b3fef17d0b438351333b707675b67e6c9e04ae4b9994bae5389791"
        );
        assert_eq!(
            fields.members_hash.to_hex(),
            "73d016d1428db2eb0c6bf11d0ccb8f1d073a8fc6ffe38c0e391a6cbb57478991"
        );
        // Signing sorts the lists; the blob lies between tag and signature.
        let commit = fields.sign(&key()).unwrap();
        let blob = &commit.entry()[1..commit.entry().len() - Signature::LEN];
        assert_eq!(blob.len(), 463);
        assert_eq!(
            sha256(&[blob]).to_hex(),
            "587328cbdc0342c3d4675a081b8fe10750efc6bc69f1d49f6de180739e1f6f9a"
        );
        assert_eq!(commit.hash(), hash(labels::COMMIT_HASH, &[&commit.entry()[1..]]));
    }

    #[test]
    fn lists_out_of_order_and_doubled_items_are_refused() {
        let mut twice = fields();
        twice.changed[0] = twice.changed[1];
        assert_eq!(twice.sign(&key()), Err(CeError::Unsorted("member")));
        let mut twice = fields();
        twice.removed = vec![AccountId([1; 32]); 2];
        assert_eq!(twice.sign(&key()), Err(CeError::Unsorted("removed")));
    }

    #[test]
    fn a_count_larger_than_the_bytes_allocates_nothing() {
        let commit = fields().sign(&key()).unwrap();
        let mut entry = commit.entry().to_vec();
        let at = entry.len() - 64 - 1 - 8 - 4 - 2 * Member::LEN - 4;
        entry[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(Commit::decode(entry), Err(CeError::TooLong { .. })));
    }

    #[test]
    fn no_single_flipped_bit_survives() {
        let commit = fields().sign(&key()).unwrap();
        for at in 0..commit.entry().len() * 8 {
            let mut entry = commit.entry().to_vec();
            entry[at / 8] ^= 1 << (at % 8);
            let accepted =
                Commit::decode(entry).is_ok_and(|commit| commit.verify(&key().public()).is_ok());
            assert!(!accepted, "bit {at} was not noticed");
        }
    }

    #[test]
    fn a_commit_cut_anywhere_is_refused_without_a_panic() {
        let commit = fields().sign(&key()).unwrap();
        for len in 0..commit.entry().len() {
            let accepted = Commit::decode(&commit.entry()[..len])
                .is_ok_and(|commit| commit.verify(&key().public()).is_ok());
            assert!(!accepted, "a commit of {len} bytes was accepted");
        }
    }
}
