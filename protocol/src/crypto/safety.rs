//! Digits that people compare: safety numbers of a pair and the code of a room (CRYPTO B5).
//!
//! ```text
//! d = SHA-512("mathia/v1/fp" || 0 || user_id || name), then 5,199 times d = SHA-512(d || user_id)
//! one side = six 5-byte chunks of d, each mod 100,000: 30 digits; both sides sorted: 60 digits
//! room     = four 5-byte chunks of H("room-code", room_id || commit_hash || members_hash): 20 digits
//! ```

use std::fmt;

use sha2::{Digest as _, Sha512};

use super::hash::{hash, labelled};
use super::labels;
use crate::id::{AccountId, Hash, RoomId};
use crate::name::Handle;

/// How often the hash is taken, which makes finding a similar number costly.
const ROUNDS: usize = 5_200;

/// The 30 digits of one account: six groups of five.
///
/// Takes a few milliseconds on purpose; keep the result.
pub fn account_digits(account: AccountId, handle: &Handle) -> [u32; 6] {
    let text = labelled(labels::FP, &[&account.0, handle.as_str().as_bytes()]);
    let mut digest = Sha512::digest(&text);
    for _ in 1..ROUNDS {
        digest = Sha512::new().chain_update(digest).chain_update(account.0).finalize();
    }
    groups(&digest)
}

/// The 60 digits that two people compare; the same on both sides.
///
/// `Display` shows four rows of three groups of five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SafetyNumber([[u32; 6]; 2]);

impl SafetyNumber {
    /// Puts the digits of two accounts, from [`account_digits`], into their one order.
    pub fn of_pair(left: [u32; 6], right: [u32; 6]) -> Self {
        Self(if left <= right { [left, right] } else { [right, left] })
    }

    /// The groups of five digits, row by row.
    pub fn rows(&self) -> [[u32; 3]; 4] {
        let row = |side: usize, start: usize| {
            let side = self.0[side];
            [side[start], side[start + 1], side[start + 2]]
        };
        [row(0, 0), row(0, 3), row(1, 0), row(1, 3)]
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, [left, middle, right]) in self.rows().into_iter().enumerate() {
            let line_end = if n == 0 { "" } else { "\n" };
            write!(f, "{line_end}{left:05} {middle:05} {right:05}")?;
        }
        Ok(())
    }
}

/// The 20 digits that the members of a room compare: equal for all who hold the same members and
/// epoch. `Display` shows four groups of five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomCode([u32; 4]);

impl RoomCode {
    /// Computes the code from the newest commit and the members after it.
    pub fn new(room: RoomId, commit_hash: Hash, members_hash: Hash) -> Self {
        let parts: [&[u8]; 3] = [&room.0, &commit_hash.0, &members_hash.0];
        Self(groups(&hash(labels::ROOM_CODE, &parts).0))
    }

    /// The first ten digits, for a room's title.
    pub fn title(&self) -> String {
        format!("{:05} {:05}", self.0[0], self.0[1])
    }
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:05} {:05}", self.title(), self.0[2], self.0[3])
    }
}

/// Turns leading 5-byte chunks into groups of five digits.
fn groups<const N: usize>(digest: &[u8]) -> [u32; N] {
    let mut groups = [0; N];
    for (group, chunk) in groups.iter_mut().zip(digest.chunks_exact(5)) {
        let number = chunk.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        *group = u32::try_from(number % 100_000).expect("five digits fit 32 bits");
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification_comes_out() {
        let digits = account_digits(AccountId([0x44; 32]), &"alice".parse().unwrap());
        assert_eq!(digits, [27720, 67845, 16996, 57097, 45174, 81125]);
    }

    #[test]
    fn both_sides_see_the_same_four_rows() {
        let (ann, bob) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]);
        let seen_by_ann = SafetyNumber::of_pair(ann, bob);
        assert_eq!(seen_by_ann, SafetyNumber::of_pair(bob, ann));
        let rows = "00001 00002 00003\n00004 00005 00006\n00001 00002 00003\n00004 00005 00007";
        assert_eq!(seen_by_ann.to_string(), rows);
    }

    #[test]
    fn another_member_or_commit_is_another_room_code() {
        let code = RoomCode::new(RoomId([1; 32]), Hash([2; 32]), Hash([3; 32]));
        assert_ne!(code, RoomCode::new(RoomId([1; 32]), Hash([2; 32]), Hash([4; 32])));
        assert_ne!(code, RoomCode::new(RoomId([1; 32]), Hash([4; 32]), Hash([3; 32])));
        assert_eq!(code.to_string().len(), 23);
        assert!(code.to_string().starts_with(&code.title()));
    }
}
