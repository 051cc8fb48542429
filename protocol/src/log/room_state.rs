//! A room as its commits say it is: members, policy and epochs, now and at every earlier position.
//!
//! Owns what a commit changes. Never decides whether a commit may be: that is [`super::validate`],
//! and only validated commits come here. Messages change nothing, so the state of any room is
//! rebuilt from its commits alone.

use std::collections::BTreeMap;

use crate::crypto::commit::{
    Commit, CommitKind, Member, Policy, Role, RoomKind, RoomMode, members_hash,
};
use crate::id::{AccountId, Epoch, Hash, RoomId, Seq, TimeMs};

/// One generation of a room's key: what the commit that started it fixed.
///
/// An open room has one for ever, epoch 0, started by its Create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Its number.
    pub epoch: Epoch,
    /// The commit that started it; wraps and messages of the epoch name it.
    pub commit_hash: Hash,
    /// The commit before that one; the commitment and the boxes are keyed by it.
    pub prev_commit: Hash,
    /// Commitment to the epoch secret; zero in open rooms.
    pub kc: Hash,
    /// Log position of the commit that started it.
    pub started_seq: Seq,
    /// When the server took that commit.
    pub started_time: TimeMs,
    /// The secret of the epoch before, sealed under this one's.
    pub prev_box: Option<Vec<u8>>,
}

/// Name, topic and picture as one commit carried them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsRecord {
    /// The epoch whose secret opens the box; 0 in open rooms, where it is plain.
    pub epoch: Epoch,
    /// Log position of the commit.
    pub seq: Seq,
    /// Who committed it.
    pub author: AccountId,
    /// Whether the author may rename the room. If not, a box that says something else than the
    /// last one by an admin is ignored, and shown.
    pub may_rename: bool,
    /// The box.
    pub bytes: Vec<u8>,
}

/// A stay in a room: log positions from the commit that added someone to the one that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// Position of the commit that made the account a member.
    pub from: Seq,
    /// Position of the commit that ended it; `None` while it lasts.
    pub until: Option<Seq>,
}

/// A room as its commits say it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomState {
    room: RoomId,
    kind: RoomKind,
    policy: Policy,
    members: BTreeMap<AccountId, Member>,
    commit_no: u32,
    head: Hash,
    head_seq: Seq,
    /// Rising; never empty.
    epochs: Vec<EpochRecord>,
    settings: Vec<SettingsRecord>,
    /// Every change of every record, oldest first; `None` means "no member from here on".
    timeline: BTreeMap<AccountId, Vec<(Seq, Option<Member>)>>,
    removed_by: BTreeMap<AccountId, AccountId>,
}

impl RoomState {
    /// Founds the state with a Create, which always stands at position 1; `None` for other kinds.
    pub fn create(commit: &Commit, server_time: TimeMs) -> Option<Self> {
        let (room, kind, policy) = (commit.room_id()?, commit.room_kind?, commit.policy?);
        let mut state = Self {
            room,
            kind,
            policy,
            members: BTreeMap::new(),
            commit_no: 0,
            head: Hash::ZERO,
            head_seq: Seq(0),
            epochs: Vec::new(),
            settings: Vec::new(),
            timeline: BTreeMap::new(),
            removed_by: BTreeMap::new(),
        };
        state.apply(Seq(1), server_time, commit);
        Some(state)
    }

    /// Rebuilds a state from all commits of a room in order, each with its position and time.
    ///
    /// `None` if the first is no Create. The commits were validated when they were stored.
    pub fn rebuild<'a>(
        commits: impl IntoIterator<Item = (Seq, TimeMs, &'a Commit)>,
    ) -> Option<Self> {
        let mut commits = commits.into_iter();
        let (_, server_time, create) = commits.next()?;
        let mut state = Self::create(create, server_time)?;
        for (seq, server_time, commit) in commits {
            state.apply(seq, server_time, commit);
        }
        Some(state)
    }

    /// Takes in a validated commit that the log holds at `seq`.
    pub fn apply(&mut self, seq: Seq, server_time: TimeMs, commit: &Commit) {
        let may_rename = commit.kind == CommitKind::Create
            || self.members.get(&commit.author).is_some_and(|member| member.role <= Role::Admin);
        for member in &commit.changed {
            self.members.insert(member.account, *member);
            self.removed_by.remove(&member.account);
            self.timeline.entry(member.account).or_default().push((seq, Some(*member)));
        }
        for account in &commit.removed {
            self.members.remove(account);
            self.timeline.entry(*account).or_default().push((seq, None));
            if *account != commit.author {
                self.removed_by.insert(*account, commit.author);
            }
        }
        if let Some(policy) = commit.policy {
            self.policy = policy;
        }
        if let Some(bytes) = &commit.settings_box {
            let (epoch, author) = (commit.epoch, commit.author);
            let bytes = bytes.clone();
            self.settings.push(SettingsRecord { epoch, seq, author, may_rename, bytes });
        }
        if self.epochs.last().is_none_or(|record| record.epoch < commit.epoch) {
            self.epochs.push(EpochRecord {
                epoch: commit.epoch,
                commit_hash: commit.hash(),
                prev_commit: commit.prev_commit,
                kc: commit.kc,
                started_seq: seq,
                started_time: server_time,
                prev_box: commit.prev_box.clone(),
            });
        }
        self.commit_no = commit.commit_no;
        self.head = commit.hash();
        self.head_seq = seq;
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// What the room is for.
    pub fn kind(&self) -> RoomKind {
        self.kind
    }

    /// Who can read the room.
    pub fn mode(&self) -> RoomMode {
        self.policy.mode
    }

    /// What the room allows now.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The number of the newest commit.
    pub fn commit_no(&self) -> u32 {
        self.commit_no
    }

    /// The hash of the newest commit: the `prev_commit` of the next.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// The log position of the newest commit.
    pub fn head_seq(&self) -> Seq {
        self.head_seq
    }

    /// The members now, by account.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// A member now.
    pub fn member(&self, account: AccountId) -> Option<&Member> {
        self.members.get(&account)
    }

    /// Says whether the account is a member now.
    pub fn is_member(&self, account: AccountId) -> bool {
        self.members.contains_key(&account)
    }

    /// The number of members who are people.
    pub fn n_people(&self) -> usize {
        self.members.values().filter(|member| member.role != Role::Agent).count()
    }

    /// The hash of the members now, as the newest commit states it.
    pub fn members_hash(&self) -> Hash {
        members_hash(self.members.values())
    }

    /// Who removed the account, if its last stay was ended by somebody else.
    pub fn removed_by(&self, account: AccountId) -> Option<AccountId> {
        self.removed_by.get(&account).copied()
    }

    /// The record of a member by the last commit at or before `seq`; `None` if it was none then.
    pub fn member_at(&self, account: AccountId, seq: Seq) -> Option<&Member> {
        record_at(self.timeline.get(&account)?, seq)
    }

    /// Everyone who ever was a member, by account.
    pub fn everyone(&self) -> impl Iterator<Item = AccountId> {
        self.timeline.keys().copied()
    }

    /// Every stay of the account, oldest first.
    pub fn stays(&self, account: AccountId) -> Vec<Stay> {
        let mut stays: Vec<Stay> = Vec::new();
        for (seq, record) in self.timeline.get(&account).into_iter().flatten() {
            let is_in = stays.last().is_some_and(|stay| stay.until.is_none());
            match record {
                Some(_) if !is_in => stays.push(Stay { from: *seq, until: None }),
                None if is_in => {
                    if let Some(stay) = stays.last_mut() {
                        stay.until = Some(*seq);
                    }
                }
                _ => {}
            }
        }
        stays
    }

    /// The epoch now.
    ///
    /// # Panics
    ///
    /// Never: a state starts with the epoch of its Create, and none is ever taken away.
    pub fn epoch(&self) -> &EpochRecord {
        self.epochs.last().expect("a room has an epoch from its Create on")
    }

    /// All epochs, oldest first.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// One epoch by its number; `None` if there never was one.
    pub fn epoch_record(&self, epoch: Epoch) -> Option<&EpochRecord> {
        // Numbers are dense from the first one on.
        let first = self.epochs.first()?.epoch;
        self.epochs.get(usize::try_from(epoch.0.checked_sub(first.0)?).ok()?)
    }

    /// The epoch that log position `seq` stands in; `None` before the Create.
    pub fn epoch_at(&self, seq: Seq) -> Option<&EpochRecord> {
        let n_started = self.epochs.partition_point(|record| record.started_seq <= seq);
        self.epochs.get(n_started.checked_sub(1)?)
    }

    /// The position of the commit that ended an epoch; `None` while it lasts.
    pub fn epoch_end(&self, epoch: Epoch) -> Option<Seq> {
        self.epoch_record(epoch.next()).filter(|next| next.epoch != epoch).map(|r| r.started_seq)
    }

    /// Everyone who was a member at some time during an epoch, with the first record in it.
    ///
    /// That is the record by the epoch's commit, or by the Add of those who came later: the one
    /// whose chain number says for which devices the epoch secret was wrapped.
    pub fn members_during(&self, epoch: Epoch) -> Vec<Member> {
        let Some(record) = self.epoch_record(epoch) else { return Vec::new() };
        let (start, end) = (record.started_seq, self.epoch_end(epoch));
        self.timeline
            .values()
            .filter_map(|changes| {
                record_at(changes, start).or_else(|| {
                    changes
                        .iter()
                        .skip_while(|(seq, _)| *seq <= start)
                        .take_while(|(seq, _)| end.is_none_or(|end| *seq < end))
                        .find_map(|(_, record)| record.as_ref())
                })
            })
            .copied()
            .collect()
    }

    /// Says whether the account was a member at some time during an epoch.
    ///
    /// Old secrets are granted only so: "epochs during which they were members" (CRYPTO B3).
    pub fn was_member_during(&self, account: AccountId, epoch: Epoch) -> bool {
        let Some(record) = self.epoch_record(epoch) else { return false };
        let end = self.epoch_end(epoch);
        self.stays(account).iter().any(|stay| {
            end.is_none_or(|end| stay.from < end)
                && stay.until.is_none_or(|until| record.started_seq < until)
        })
    }

    /// Every settings box, oldest first.
    pub fn settings(&self) -> &[SettingsRecord] {
        &self.settings
    }

    /// The two people of a direct room, in order; `None` for other kinds.
    pub fn direct_pair(&self) -> Option<(AccountId, AccountId)> {
        if self.kind != RoomKind::Direct {
            return None;
        }
        let mut accounts = self.members.keys();
        Some((*accounts.next()?, *accounts.next()?))
    }
}

fn record_at(changes: &[(Seq, Option<Member>)], seq: Seq) -> Option<&Member> {
    let n_before = changes.partition_point(|(changed, _)| *changed <= seq);
    changes.get(n_before.checked_sub(1)?)?.1.as_ref()
}
