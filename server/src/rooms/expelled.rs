//! Whose requests the writer refuses: devices that were revoked, accounts that were removed, and
//! devices that sign their messages wrongly.
//!
//! Owns what is remembered of them, in memory only: a revoked device or a removed account cannot log
//! in again, and a device that signs wrongly is trusted again after a restart.

use std::collections::HashSet;

use mathia_protocol::id::{AccountId, DeviceId};

use super::caller::Caller;

/// Who was expelled since the start.
#[derive(Debug, Default)]
pub(super) struct Expelled {
    /// Devices revoked and accounts removed (`None`): their sessions may still have jobs in the
    /// queue. Those from before the start cannot log in.
    gone: HashSet<(AccountId, Option<DeviceId>)>,
    /// Those of them that the present batch expelled.
    of_batch: Vec<(AccountId, Option<DeviceId>)>,
    /// Devices that were found to sign their messages wrongly.
    distrusted: HashSet<(AccountId, DeviceId)>,
}

impl Expelled {
    /// Adds a device, or a whole account, for as long as the batch is not rolled back.
    pub(super) fn add(&mut self, account: AccountId, device: Option<DeviceId>) {
        if self.gone.insert((account, device)) {
            self.of_batch.push((account, device));
        }
    }

    /// Adds a device that signs wrongly; `false` if it was known.
    pub(super) fn distrust(&mut self, account: AccountId, device: DeviceId) -> bool {
        self.distrusted.insert((account, device))
    }

    /// Whether everything the caller asks for is refused.
    pub(super) fn is_expelled(&self, caller: &Caller) -> bool {
        let has = |device| self.gone.contains(&(caller.account, device));
        !self.gone.is_empty() && (has(None) || has(Some(caller.device)))
    }

    /// Whether what the caller writes is refused.
    pub(super) fn is_distrusted(&self, caller: &Caller) -> bool {
        self.distrusted.contains(&(caller.account, caller.device))
    }

    /// The batch is durable.
    pub(super) fn settle(&mut self) {
        self.of_batch.clear();
    }

    /// The batch was rolled back: whom it expelled is not.
    pub(super) fn forget(&mut self) {
        for expelled in self.of_batch.drain(..) {
            self.gone.remove(&expelled);
        }
    }
}
