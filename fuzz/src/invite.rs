//! Text that people paste or type: invites, recovery words, names.

use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::words::{from_words, to_words};
use mathia_protocol::name::{Handle, RoomName};

use crate::Seed;

/// Any text, read as each of them.
pub fn invite(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(invite) = text.parse::<Invite>() {
        let line = invite.to_line();
        let again: Invite = line.parse().expect("our own line is an invite");
        assert_eq!(*again.to_line(), *line, "an invite has one line");
        assert!(line.is_ascii() && !line.contains(char::is_whitespace), "it can be pasted");
        assert_eq!((again.host, again.port), (invite.host, invite.port));
    }
    words::<16>(&text);
    words::<32>(&text);
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.as_str(), text);
    }
    if let Ok(name) = text.parse::<RoomName>() {
        assert_eq!(name.as_str().parse().as_ref(), Ok(&name), "a room name reads as itself");
    }
}

fn words<const N: usize>(text: &str) {
    if let Ok(secret) = from_words::<N>(text) {
        let written = to_words(&secret);
        let spoken: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
        assert_eq!(*written, spoken.join(" "), "a secret has one list of words");
    }
}

/// Links and words as people have them.
pub(crate) fn seeds() -> Vec<Seed> {
    let parts = ["2pj5hu6t2pj5hu6t2pj5hu6t2m", "2tknjvgu2tknjvgu2tknjvgu2q"];
    let more = ["2xk5lvov2xk5lvov2xk5lvov2u", "tgmztgmztgmztgmztgmztgmzte"];
    let ticket = [parts, more].concat().join(".");
    let seeds = [
        ("ticket", format!("mathia://chat.example.org:4433/#{ticket}")),
        ("address", "mathia://chat.example.org:4433".to_owned()),
        ("ipv6", format!("mathia://[2001:db8::1]:4433/#{ticket}")),
        ("words_12", to_words(&[0x7F; 16]).to_string()),
        ("words_24", to_words(&[0x80; 32]).to_string()),
        ("room_name", " #on call ".to_owned()),
    ];
    seeds.map(|(name, text)| (name.to_owned(), text.into_bytes())).into()
}
