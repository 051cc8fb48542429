//! What a room's log says and which entries it accepts: the rules shared by server and client.

pub mod chain;
pub mod room_state;

pub use chain::LogHash;
pub use room_state::{EpochRecord, RoomState, SettingsRecord, Stay};
