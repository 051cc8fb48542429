//! Verified user chains at hand: one bounded cache for logins, reads and the writer.
//!
//! Owns when a chain may be believed without verifying it again. Shared threads only ever see chains
//! whose links are durable; what a batch adds stays in [`BatchChains`] until its commit returned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mathia_protocol::crypto::user_chain::{SignedLink, UserChain};
use mathia_protocol::id::AccountId;
use mathia_protocol::log;

use crate::store::{Read, StoreError};

/// Chains in one generation of the cache: about 1 KiB each, two generations are kept.
const CHAINS_PER_GENERATION_MAX: usize = 8_192;

/// The shared cache. Cheap to ask from any thread; nothing is verified under its lock.
#[derive(Debug, Default)]
pub struct Chains {
    inner: Mutex<Generations>,
}

/// Two maps: what was used lately, and what was used before that and goes next.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<AccountId, Arc<UserChain>>,
    old: HashMap<AccountId, Arc<UserChain>>,
    /// How often the writer changed a chain; a slow reader must not put an older one back.
    n_published: u64,
}

impl Generations {
    fn get(&mut self, account: AccountId) -> Option<Arc<UserChain>> {
        if let Some(chain) = self.young.get(&account) {
            return Some(Arc::clone(chain));
        }
        let chain = self.old.remove(&account)?;
        self.put(account, Arc::clone(&chain));
        Some(chain)
    }

    fn put(&mut self, account: AccountId, chain: Arc<UserChain>) {
        if self.young.len() >= CHAINS_PER_GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&account);
        self.young.insert(account, chain);
    }
}

impl Chains {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// The verified chain of an account, from the cache or else from the store; `None` if there is
    /// no such account.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Rotten`] when stored links do not verify.
    pub fn get(
        &self,
        read: &dyn Read,
        account: AccountId,
    ) -> Result<Option<Arc<UserChain>>, StoreError> {
        let n_published = {
            let mut inner = self.lock();
            if let Some(chain) = inner.get(account) {
                return Ok(Some(chain));
            }
            inner.n_published
        };
        let Some(chain) = load(read, account)? else { return Ok(None) };
        let mut inner = self.lock();
        if inner.n_published == n_published {
            inner.put(account, Arc::clone(&chain));
        }
        Ok(Some(chain))
    }

    /// Puts durable chains in the place of older ones.
    fn publish(&self, chains: impl Iterator<Item = (AccountId, Arc<UserChain>)>) {
        let mut inner = self.lock();
        inner.n_published += 1;
        for (account, chain) in chains {
            inner.put(account, chain);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change under the lock is whole: a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads and verifies a whole chain from the store.
fn load(read: &dyn Read, account: AccountId) -> Result<Option<Arc<UserChain>>, StoreError> {
    let rows = read.links(account, 0)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let links: Vec<SignedLink> = rows.into_iter().map(|row| SignedLink(row.link)).collect();
    let chain = UserChain::verify(&links).map_err(StoreError::rotten)?;
    Ok(Some(Arc::new(chain)))
}

/// The writer's view: the shared chains, and over them what the present batch has changed.
#[derive(Debug)]
pub(crate) struct BatchChains {
    shared: Arc<Chains>,
    changed: HashMap<AccountId, Arc<UserChain>>,
}

impl BatchChains {
    pub(crate) fn new(shared: Arc<Chains>) -> Self {
        Self { shared, changed: HashMap::new() }
    }

    /// The newest verified chain of an account; `None` if there is no such account.
    pub(crate) fn get(
        &self,
        read: &dyn Read,
        account: AccountId,
    ) -> Result<Option<Arc<UserChain>>, StoreError> {
        match self.changed.get(&account) {
            Some(chain) => Ok(Some(Arc::clone(chain))),
            None => self.shared.get(read, account),
        }
    }

    /// The chains of several accounts, as the rules of the log ask for them; unknown ones are absent.
    pub(crate) fn of(
        &self,
        read: &dyn Read,
        accounts: impl Iterator<Item = AccountId>,
    ) -> Result<KnownChains, StoreError> {
        let mut chains = HashMap::new();
        for account in accounts {
            if let Some(chain) = self.get(read, account)? {
                chains.insert(account, chain);
            }
        }
        Ok(KnownChains(chains))
    }

    /// Takes over a chain that the present batch founded or extended.
    pub(crate) fn change(&mut self, chain: UserChain) {
        self.changed.insert(chain.account(), Arc::new(chain));
    }

    /// The batch is durable: everyone may see its chains.
    pub(crate) fn settle(&mut self) {
        if !self.changed.is_empty() {
            self.shared.publish(self.changed.drain());
        }
    }

    /// The batch was rolled back: its chains never were.
    pub(crate) fn forget(&mut self) {
        self.changed.clear();
    }
}

/// Chains gathered for one decision.
#[derive(Debug)]
pub(crate) struct KnownChains(HashMap<AccountId, Arc<UserChain>>);

impl log::Chains for KnownChains {
    fn chain(&self, account: AccountId) -> Option<&UserChain> {
        self.0.get(&account).map(AsRef::as_ref)
    }
}
