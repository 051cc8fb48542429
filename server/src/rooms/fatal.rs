//! What happens when the database failed and what is on disk is no longer known.

use std::fmt;
use std::sync::Arc;

use crate::store::StoreError;

/// What happens when the database failed.
///
/// The server ends itself, and its supervisor starts it again; tests look instead.
#[derive(Clone)]
pub struct Fatal(Arc<dyn Fn(&StoreError) + Send + Sync>);

impl Fatal {
    /// Ends the process at once, after a line that says why.
    pub fn abort() -> Self {
        Self::new(|error| {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let hint = "see whether the disk fails or is read-only, then start the server again";
            tracing::error!(%error, cause, hint, "the database failed, the server ends itself");
            std::process::abort();
        })
    }

    /// Does something else, for tests.
    pub fn new(act: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }

    pub(crate) fn strike(&self, error: &StoreError) {
        (self.0)(error);
    }
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatal(..)")
    }
}
