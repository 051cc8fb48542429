//! What an operator does beside a running server: invites, accounts, backup, status.

pub mod backup;
pub mod data_dir;
pub mod operator;
pub mod socket;
