//! Which addresses the assistant may call.
//!
//! A model is on the Internet unless the operator says `allow_private`. The rule is checked on the
//! addresses a name resolves to, at each connection, by the resolver that the connection uses: a
//! name that is harmless when looked at and private when called does not pass. Addresses written
//! into the URL never reach a resolver and are checked when the provider is made.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::model_address::is_public;

/// A name that leads into a private network only, where that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all its addresses are private")]
pub struct NotAllowed;

/// Resolves names and keeps the addresses that may be called.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    /// Whether private addresses may be called.
    pub allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(found, allow_private)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Keeps the addresses that may be called.
///
/// # Errors
///
/// [`NotAllowed`] when none is left of some.
pub fn allowed(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, NotAllowed> {
    let found: Vec<_> = found.collect();
    let had_some = !found.is_empty();
    let kept: Vec<_> =
        found.into_iter().filter(|address| allow_private || is_public(address.ip())).collect();
    if had_some && kept.is_empty() { Err(NotAllowed) } else { Ok(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_mixed_addresses_only_the_public_ones_are_called() {
        let mixed = ["10.0.0.1:0", "1.1.1.1:0", "[::1]:0"].map(|text| text.parse().unwrap());
        let kept = allowed(mixed.into_iter(), false).unwrap();
        assert_eq!(kept, [mixed[1]]);
        assert_eq!(allowed(mixed.into_iter(), true).unwrap(), mixed);
        assert_eq!(allowed([mixed[0], mixed[2]].into_iter(), false), Err(NotAllowed));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_does_not_resolve_unless_allowed() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = GuardedResolver { allow_private: false }.resolve(name()).await.err().unwrap();
        assert!(refused.is::<NotAllowed>(), "{refused}");
        let mut found = GuardedResolver { allow_private: true }.resolve(name()).await.unwrap();
        assert!(found.all(|address| address.ip().is_loopback()));
    }
}
