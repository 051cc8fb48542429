//! What an operator does beside a running server: invites, accounts, backup, status.

pub mod backup;
pub mod operator;
pub mod socket;
