//! The contract over rows in memory.

use super::Replica;
use super::contract::contract;

fn in_memory(story: fn(&Replica)) {
    story(&Replica::in_memory());
}

contract!(in_memory);
