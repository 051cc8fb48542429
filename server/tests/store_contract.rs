//! One contract, several databases: every story here runs against each of them.

mod store {
    pub(crate) mod cast;
    pub(crate) mod logs;
}
