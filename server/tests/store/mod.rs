//! One contract, several databases: every story here runs against each of them.

mod batches;
mod cast;
mod disk;
mod invites;
mod keys_and_marks;
mod logs;
mod model;
mod people;
mod schedules;
