//! Wraps that wait for their commit: in memory only, bounded, and gone after a while.
//!
//! Owns the staging of CRYPTO B3 ("Commit and wraps are atomic"). Losing them costs the committer a
//! `MissingWraps` and another round, never a key.

use std::collections::HashMap;

use mathia_protocol::id::{AccountId, DeviceId, Hash, TimeMs};
use mathia_protocol::limits::{DEVICES_MAX, MEMBERS_MAX, WRAPS_PER_BATCH_MAX};
use mathia_protocol::log::WrapTarget;
use mathia_protocol::wire::{Fault, Wrap};

/// How long staged wraps wait for their commit, in milliseconds: uploading them takes seconds.
const TTL_MS: u64 = 10 * 60 * 1_000;
/// Commits that one account may have staged wraps for: an attempt, and a rebuilt one.
const COMMITS_PER_ACCOUNT_MAX: usize = 4;
/// Wraps staged in the whole server, about 150 bytes each: 20 MiB.
const WRAPS_MAX: usize = 131_072;
/// Wraps staged for one commit: a full room whose members have a few devices each.
const WRAPS_PER_COMMIT_MAX: usize = MEMBERS_MAX * 4;
/// Longest sealed secret: an epoch secret has 80 bytes, an agent's signed one 144.
pub(super) const SEALED_LEN_MAX: usize = 256;

const _: () = assert!(WRAPS_PER_COMMIT_MAX > DEVICES_MAX);

/// Wraps by committer and commit.
#[derive(Debug, Default)]
pub(crate) struct StagedWraps {
    stages: HashMap<Key, Stage>,
    n_wraps: usize,
    /// Stages that commits of the present batch have used up.
    used: Vec<Key>,
}

type Key = (AccountId, Hash);

#[derive(Debug)]
struct Stage {
    wraps: HashMap<DeviceId, Wrap>,
    expires: TimeMs,
}

impl StagedWraps {
    /// Stages wraps for a commit that `account` is about to make; says how many there are now.
    ///
    /// Staged again, a wrap for the same device replaces the earlier one. Only the committer's own
    /// are ever used, so nobody can spoil another's commit.
    pub(crate) fn add(
        &mut self,
        account: AccountId,
        commit: Hash,
        wraps: Vec<Wrap>,
        now: TimeMs,
    ) -> Result<u32, Fault> {
        check_batch(&wraps)?;
        self.expire(now);
        let key = (account, commit);
        let staged = self.stages.get(&key).map_or(0, |stage| stage.wraps.len());
        if staged + wraps.len() > WRAPS_PER_COMMIT_MAX {
            return Err(too_large(WRAPS_PER_COMMIT_MAX));
        }
        if self.n_wraps + wraps.len() > WRAPS_MAX {
            return Err(Fault::ServerBusy { retry_after_ms: 10_000 });
        }
        if !self.stages.contains_key(&key) {
            self.make_space(account);
        }
        let expires = TimeMs(now.0.saturating_add(TTL_MS));
        let stage = self.stages.entry(key).or_insert(Stage { wraps: HashMap::new(), expires });
        stage.expires = expires;
        for wrap in wraps {
            stage.wraps.insert(wrap.device, wrap);
        }
        let n_now = stage.wraps.len();
        self.n_wraps += n_now - staged;
        Ok(u32::try_from(n_now).unwrap_or(u32::MAX))
    }

    /// Finds a wrap for every target, among those given with the commit and those staged before it.
    pub(crate) fn gather(
        &self,
        account: AccountId,
        commit: Hash,
        given: &[Wrap],
        targets: &[WrapTarget],
    ) -> Result<Vec<Wrap>, Fault> {
        let found = self.find(account, commit, given, targets);
        match targets.len() - found.len() {
            0 => Ok(found),
            n_missing => {
                Err(Fault::MissingWraps { n_missing: u32::try_from(n_missing).unwrap_or(u32::MAX) })
            }
        }
    }

    /// Finds the wraps that are there for some targets.
    pub(crate) fn find(
        &self,
        account: AccountId,
        commit: Hash,
        given: &[Wrap],
        targets: &[WrapTarget],
    ) -> Vec<Wrap> {
        if targets.is_empty() {
            return Vec::new();
        }
        let given: HashMap<DeviceId, &Wrap> =
            given.iter().map(|wrap| (wrap.device, wrap)).collect();
        let staged = self.stages.get(&(account, commit));
        let find = |target: &WrapTarget| {
            let wrap = given
                .get(&target.device)
                .copied()
                .or_else(|| staged.and_then(|stage| stage.wraps.get(&target.device)))?;
            let fits = wrap.account == target.account && wrap.hpke_gen == target.generation;
            fits.then(|| wrap.clone())
        };
        targets.iter().filter_map(find).collect()
    }

    /// The commit was applied: its wraps go once the batch is durable.
    pub(crate) fn use_up(&mut self, account: AccountId, commit: Hash) {
        self.used.push((account, commit));
    }

    /// The batch is durable.
    pub(crate) fn settle(&mut self) {
        for key in std::mem::take(&mut self.used) {
            self.remove(key);
        }
    }

    /// The batch was rolled back: its commits will come again and need their wraps.
    pub(crate) fn forget(&mut self) {
        self.used.clear();
    }

    fn expire(&mut self, now: TimeMs) {
        let expired: Vec<Key> =
            self.stages.iter().filter(|(_, s)| s.expires <= now).map(|(key, _)| *key).collect();
        for key in expired {
            self.remove(key);
        }
    }

    /// Drops the account's oldest stage if it has as many as it may.
    fn make_space(&mut self, account: AccountId) {
        let own = self.stages.iter().filter(|((who, _), _)| *who == account);
        let mut own: Vec<(TimeMs, Key)> = own.map(|(key, stage)| (stage.expires, *key)).collect();
        if own.len() >= COMMITS_PER_ACCOUNT_MAX {
            own.sort_unstable();
            self.remove(own[0].1);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(stage) = self.stages.remove(&key) {
            self.n_wraps -= stage.wraps.len();
        }
    }
}

/// Bounds of one batch of wraps.
pub(super) fn check_batch(wraps: &[Wrap]) -> Result<(), Fault> {
    if wraps.len() > WRAPS_PER_BATCH_MAX * 4 {
        return Err(too_large(WRAPS_PER_BATCH_MAX * 4));
    }
    if wraps.iter().any(|wrap| wrap.sealed.is_empty() || wrap.sealed.len() > SEALED_LEN_MAX) {
        return Err(too_large(SEALED_LEN_MAX));
    }
    Ok(())
}

pub(super) fn too_large(max: usize) -> Fault {
    Fault::TooLarge { max: u32::try_from(max).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::crypto::identity::HpkePublic;

    use super::*;

    const ANN: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);
    const COMMIT: Hash = Hash([7; 32]);

    fn wrap(device: u8) -> Wrap {
        let device = DeviceId([device; 16]);
        Wrap { account: ANN, device, hpke_gen: 1, sealed: vec![0; 80] }
    }

    fn target(device: u8, generation: u32) -> WrapTarget {
        let device = DeviceId([device; 16]);
        WrapTarget { account: ANN, device, key: HpkePublic([9; 32]), generation }
    }

    #[test]
    fn staged_and_given_wraps_count_together_and_a_wrong_generation_counts_not() {
        let mut staging = StagedWraps::default();
        assert_eq!(staging.add(ANN, COMMIT, vec![wrap(1)], TimeMs(0)), Ok(1));
        let targets = [target(1, 1), target(2, 1)];
        let missing = Err(Fault::MissingWraps { n_missing: 1 });
        assert_eq!(staging.gather(ANN, COMMIT, &[], &targets), missing);
        assert_eq!(staging.gather(ANN, COMMIT, &[wrap(2)], &targets).unwrap().len(), 2);
        assert_eq!(staging.gather(BOB, COMMIT, &[wrap(2)], &targets), missing, "not hers");
        assert_eq!(staging.gather(ANN, COMMIT, &[wrap(2)], &[target(2, 2)]), missing);
    }

    #[test]
    fn used_wraps_go_when_the_batch_is_durable_and_stay_when_it_was_not() {
        let mut staging = StagedWraps::default();
        staging.add(ANN, COMMIT, vec![wrap(1)], TimeMs(0)).unwrap();
        staging.use_up(ANN, COMMIT);
        staging.forget();
        assert!(staging.gather(ANN, COMMIT, &[], &[target(1, 1)]).is_ok());
        staging.use_up(ANN, COMMIT);
        staging.settle();
        assert!(staging.gather(ANN, COMMIT, &[], &[target(1, 1)]).is_err());
        assert_eq!(staging.n_wraps, 0);
    }

    #[test]
    fn stages_are_few_per_account_and_end_by_themselves() {
        let mut staging = StagedWraps::default();
        for number in 0..6 {
            let commit = Hash([number; 32]);
            staging.add(ANN, commit, vec![wrap(1)], TimeMs(u64::from(number))).unwrap();
        }
        assert_eq!(staging.stages.len(), COMMITS_PER_ACCOUNT_MAX);
        assert!(!staging.stages.contains_key(&(ANN, Hash([0; 32]))));
        staging.add(BOB, COMMIT, vec![wrap(1)], TimeMs(TTL_MS + 100)).unwrap();
        assert_eq!((staging.stages.len(), staging.n_wraps), (1, 1));
    }
}
