//! The server that lies, of the other stories.

#[path = "../stories/lying/liar.rs"]
#[expect(dead_code, reason = "the other stories use more of it")]
pub(crate) mod liar;
