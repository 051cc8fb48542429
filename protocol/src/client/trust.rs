//! Whether a server is the one it should be (CRYPTO B8).

use std::fmt;

use crate::id::Hash;

/// A person who decides about a server key that nothing vouches for.
pub trait TrustAsk: Send + Sync + fmt::Debug + 'static {
    /// Shows the fingerprint and its words; `true` only after the person typed "yes".
    ///
    /// Called on the engine's thread at first contact only; it may block.
    fn is_trusted(&self, address: &str, pin: Hash, words: &str) -> bool;
}
