//! How deliveries reach the sessions they concern, in whichever process these are.
//!
//! A delivery is a hint: one that is lost costs its sessions time and never content, since they pull
//! what they miss from the log. Presence is not carried: each hub reports on its own sessions.

use std::fmt;
use std::sync::Arc;

use super::{Delivery, Hub};

/// Carries batches of deliveries to every hub, that of this process included.
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Passes a batch on, in its order. Called after the commit that made it true; never waits for a
    /// session or for another process.
    fn publish(&self, deliveries: &[Delivery]);
}

/// The bus of a server that is one process: what is published is delivered at once.
#[derive(Debug)]
pub struct LocalBus(Arc<Hub>);

impl LocalBus {
    /// The bus to one hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self(hub)
    }
}

impl Bus for LocalBus {
    fn publish(&self, deliveries: &[Delivery]) {
        self.0.deliver(deliveries);
    }
}
