//! Hostile bytes for every decoder of the protocol: one function per target.
//!
//! A target takes any bytes, never panics on them by itself, and panics if a promise is broken: what
//! is accepted has one encoding, what is signed or sealed opens only as it was made, and nothing
//! costs more memory than it may. The coverage-guided fuzzer and the plain mutator of
//! `fuzz-stable` call the same functions.
#![forbid(unsafe_code)]

mod agent;
mod commit;
mod frame;
mod genuine;
mod invite;
mod key_file;
mod message;
mod mutate;
mod page;
mod user_link;
mod wrap;

pub use agent::agent;
pub use commit::commit;
pub use frame::frame;
pub use invite::invite;
pub use key_file::key_file;
pub use message::message;
pub use mutate::Mutator;
pub use page::page;
pub use user_link::user_link;
pub use wrap::wrap;

/// A good input to start from, with the name of its file.
pub type Seed = (String, Vec<u8>);

/// A decoder under fire.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its function, its binary and its directory of seeds.
    pub name: &'static str,
    /// Takes any bytes; panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Makes good inputs to start from, always the same ones.
    pub seeds: fn() -> Vec<Seed>,
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target { name: "frame", run: frame, seeds: frame::seeds },
    Target { name: "user_link", run: user_link, seeds: user_link::seeds },
    Target { name: "commit", run: commit, seeds: commit::seeds },
    Target { name: "message", run: message, seeds: message::seeds },
    Target { name: "wrap", run: wrap, seeds: wrap::seeds },
    Target { name: "agent", run: agent, seeds: agent::seeds },
    Target { name: "invite", run: invite, seeds: invite::seeds },
    Target { name: "page", run: page, seeds: page::seeds },
    Target { name: "key_file", run: key_file, seeds: key_file::seeds },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_takes_its_own_seeds() {
        for target in TARGETS {
            for (_, bytes) in (target.seeds)() {
                (target.run)(&bytes);
            }
        }
    }

    /// `fuzz-stable seeds` writes them; other files there are inputs that once broke something.
    #[test]
    fn the_seeds_in_the_repository_are_those_that_the_code_makes() {
        for target in TARGETS {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
            let made: BTreeMap<_, _> = (target.seeds)().into_iter().collect();
            assert!(!made.is_empty(), "{} has no seeds", target.name);
            for (name, bytes) in made {
                let stored = std::fs::read(directory.join(&name)).unwrap_or_default();
                assert_eq!(
                    stored, bytes,
                    "run fuzz-stable seeds: {}/{name} is another",
                    target.name
                );
            }
        }
    }

    #[test]
    fn every_target_has_a_binary_for_the_guided_way() {
        for target in TARGETS {
            let path = format!("{}/fuzz_targets/{}.rs", env!("CARGO_MANIFEST_DIR"), target.name);
            let text = std::fs::read_to_string(path).unwrap_or_default();
            assert!(text.contains(&format!("mathia_fuzz::{}(data)", target.name)));
        }
    }
}
