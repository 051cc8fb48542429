//! Stories about rooms: what people send through the write queue, what the log holds, what each hears.

mod accounts;
mod at_rest;
mod cast;
mod changes;
mod disk;
mod driving;
mod forgetting;
mod history;
mod keys;
mod luck;
mod marks;
mod messages;
mod nodes;
mod schedules;
