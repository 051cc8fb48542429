//! Stories about rooms: what people send through the desk, what the log holds, what each hears.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod rooms {
    pub(crate) mod accounts;
    pub(crate) mod at_rest;
    pub(crate) mod cast;
    pub(crate) mod changes;
    pub(crate) mod disk;
    pub(crate) mod forgetting;
    pub(crate) mod history;
    pub(crate) mod keys;
    pub(crate) mod luck;
    pub(crate) mod marks;
    pub(crate) mod messages;
    pub(crate) mod schedules;
}
