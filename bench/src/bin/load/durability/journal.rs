//! Undoes what a process wrote and never synced, from the journal of the preloaded library.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::Failure;

const HEAD_LEN: usize = 32;
const SYNC: u32 = 3;

/// What one write or truncation replaced.
struct Replaced {
    offset: u64,
    old_size: u64,
    old: Vec<u8>,
}

/// Undoes and empties the journal.
pub(crate) fn undo(journal: &Path) -> Result<(), Failure> {
    let bytes = fs::read(journal)?;
    let mut unsynced: HashMap<PathBuf, Vec<Replaced>> = HashMap::new();
    let mut rest = bytes.as_slice();
    // A record that was cut off by the kill came before its write: nothing was replaced yet.
    while let Some((path, kind, replaced, behind)) = take_record(rest) {
        rest = behind;
        let replaced_there = unsynced.entry(path).or_default();
        if kind == SYNC { replaced_there.clear() } else { replaced_there.push(replaced) }
    }
    for (path, replaced) in unsynced {
        if replaced.is_empty() || !path.exists() {
            continue;
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        for step in replaced.into_iter().rev() {
            file.write_all_at(&step.old, step.offset)?;
            file.set_len(step.old_size)?;
        }
    }
    fs::write(journal, b"")?;
    Ok(())
}

fn take_record(bytes: &[u8]) -> Option<(PathBuf, u32, Replaced, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
    let small = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let large = |at: usize| Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let (kind, path_len) = (small(0)?, small(4)?);
    let (offset, old_size, old_len) = (large(8)?, large(16)?, large(24)?);
    let (path, rest) = rest.split_at_checked(usize::try_from(path_len).ok()?)?;
    let (old, rest) = rest.split_at_checked(usize::try_from(old_len).ok()?)?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
    Some((path, kind, Replaced { offset, old_size, old: old.to_vec() }, rest))
}
