//! One contract, several databases: every story here runs against each of them.

mod store {
    pub(crate) mod batches;
    pub(crate) mod cast;
    pub(crate) mod disk;
    pub(crate) mod invites;
    pub(crate) mod keys_and_marks;
    pub(crate) mod logs;
    pub(crate) mod model;
    pub(crate) mod people;
    pub(crate) mod schedules;
}
