//! The file of server keys that this person trusts, shared by all profiles (CRYPTO B8).
//!
//! ```text
//! host port sha256:HEX source first_seen        one server per line; # begins a comment
//! ```
//!
//! Owns the text form. The pin a profile really logs in with lies in its replica; this file is what
//! a new profile knows beforehand, and what a person can read.

use mathia_protocol::client::home::{FileError, make_private_dir, write_private};
use mathia_protocol::client::{PinSource, ServerRecord};
use mathia_protocol::id::{Hash, TimeMs};

use crate::clock::rfc3339;
use crate::paths::Paths;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServer {
    /// Host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// SHA-256 of the server's public key (SPKI).
    pub pin: Hash,
    /// Where the pin came from: `invite`, `webpki`, `asked`, `announced`.
    pub source: String,
    /// When it was first seen, RFC 3339.
    pub first_seen: String,
}

/// All lines of the file, those that are no server included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownServers {
    lines: Vec<FileLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FileLine {
    Server(KnownServer),
    /// Comments, and what a newer client wrote: kept as they are.
    Other(String),
}

impl KnownServers {
    /// Reads the file of these paths; an absent one is empty.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if it cannot be read.
    pub fn load(paths: &Paths) -> Result<Self, FileError> {
        let path = paths.known_servers();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(FileError::Io { what: "read", path, source }),
        }
    }

    /// Replaces the file at once.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if it cannot be written.
    pub fn save(&self, paths: &Paths) -> Result<(), FileError> {
        make_private_dir(&paths.config_dir)?;
        write_private(&paths.known_servers(), self.to_text().as_bytes())
    }

    /// Reads the text of a file. Never fails: lines it does not know are kept.
    pub fn parse(text: &str) -> Self {
        let line = |text: &str| {
            parse_server(text).map_or_else(|| FileLine::Other(text.to_owned()), FileLine::Server)
        };
        Self { lines: text.lines().map(line).collect() }
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        self.lines
            .iter()
            .map(|line| match line {
                FileLine::Server(s) => {
                    let (pin, first_seen) = (s.pin.to_hex(), &s.first_seen);
                    format!("{} {} sha256:{pin} {} {first_seen}\n", s.host, s.port, s.source)
                }
                FileLine::Other(text) => format!("{text}\n"),
            })
            .collect()
    }

    /// All servers, in the order of the file.
    pub fn servers(&self) -> impl Iterator<Item = &KnownServer> {
        self.lines.iter().filter_map(|line| match line {
            FileLine::Server(server) => Some(server),
            FileLine::Other(_) => None,
        })
    }

    /// The pin of a server; `address` is `host:port`.
    pub fn pin(&self, address: &str) -> Option<Hash> {
        let (host, port) = split_address(address)?;
        self.servers().find(|server| server.host == host && server.port == port).map(|s| s.pin)
    }

    /// Notes what a profile knows of its server; says whether anything changed.
    pub fn note(&mut self, record: &ServerRecord) -> bool {
        let Some((host, port)) = split_address(&record.address) else { return false };
        if self.pin(&record.address) == Some(record.pin) {
            return false;
        }
        self.forget(&record.address);
        let source = match record.source {
            PinSource::Invite => "invite",
            PinSource::WebPki => "webpki",
            PinSource::Asked => "asked",
            PinSource::Announced => "announced",
        };
        self.lines.push(FileLine::Server(KnownServer {
            host,
            port,
            pin: record.pin,
            source: source.to_owned(),
            first_seen: first_seen(record.first_seen),
        }));
        true
    }

    /// Forgets a server by `host` or `host:port`; says whether there was one.
    pub fn forget(&mut self, address: &str) -> bool {
        let n_before = self.lines.len();
        self.lines.retain(|line| match line {
            FileLine::Server(server) => !is_named(server, address),
            FileLine::Other(_) => true,
        });
        self.lines.len() < n_before
    }
}

/// Whether `host` or `host:port` names this server.
pub fn is_same_server(address: &str, wanted: &str) -> bool {
    split_address(address).is_some_and(|(host, port)| {
        wanted.eq_ignore_ascii_case(&host)
            || split_address(wanted).is_some_and(|wanted| wanted == (host, port))
    })
}

fn is_named(server: &KnownServer, address: &str) -> bool {
    address.eq_ignore_ascii_case(&server.host)
        || split_address(address)
            .is_some_and(|(host, port)| host == server.host && port == server.port)
}

fn first_seen(time: TimeMs) -> String {
    rfc3339(time)
}

fn split_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host.to_ascii_lowercase(), port.parse().ok()?))
}

fn parse_server(line: &str) -> Option<KnownServer> {
    let mut words = line.split_whitespace();
    let host = words.next().filter(|host| !host.starts_with('#'))?.to_owned();
    let port = words.next()?.parse().ok()?;
    let pin = Hash::from_hex(words.next()?.strip_prefix("sha256:")?)?;
    let source = words.next()?.to_owned();
    let first_seen = words.next()?.to_owned();
    words.next().is_none().then_some(KnownServer { host, port, pin, source, first_seen })
}

#[cfg(test)]
mod tests {
    use mathia_protocol::id::Realm;

    use super::*;

    fn record(address: &str, pin: u8) -> ServerRecord {
        ServerRecord {
            address: address.to_owned(),
            realm: Realm([1; 16]),
            pin: Hash([pin; 32]),
            next_pin: None,
            source: PinSource::Asked,
            first_seen: TimeMs(1_795_194_000_000),
        }
    }

    #[test]
    fn a_server_is_noted_once_and_comments_survive() {
        let mut known = KnownServers::parse("# mine\nfuture format line\n");
        assert!(known.note(&record("Chat.example.org:4433", 0xAB)));
        assert!(!known.note(&record("chat.example.org:4433", 0xAB)));
        let text = known.to_text();
        let line = format!(
            "chat.example.org 4433 sha256:{} asked 2026-11-20T17:00:00Z\n",
            "ab".repeat(32)
        );
        assert_eq!(text, format!("# mine\nfuture format line\n{line}"));
        assert_eq!(KnownServers::parse(&text), known);
    }

    #[test]
    fn a_pin_belongs_to_a_host_and_a_port() {
        let mut known = KnownServers::default();
        known.note(&record("[::1]:4433", 1));
        known.note(&record("[::1]:4434", 2));
        assert_eq!(known.pin("[::1]:4434"), Some(Hash([2; 32])));
        assert_eq!(known.pin("[::1]:4435"), None);
        known.note(&record("[::1]:4434", 3));
        assert_eq!(known.pin("[::1]:4434"), Some(Hash([3; 32])));
        assert_eq!(known.servers().count(), 2);
    }

    #[test]
    fn a_server_is_forgotten_by_host_or_by_host_and_port() {
        let mut known = KnownServers::default();
        known.note(&record("a.example:1", 1));
        known.note(&record("a.example:2", 2));
        assert!(known.forget("a.example:2"));
        assert_eq!(known.servers().count(), 1);
        assert!(known.forget("A.example"));
        assert!(!known.forget("a.example"));
        assert!(
            is_same_server("a.example:1", "a.example")
                && is_same_server("a.example:1", "a.example:1")
        );
        assert!(!is_same_server("a.example:1", "a.example:2"));
    }
}
