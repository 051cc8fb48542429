//! The protocol document says what the code does: numbers of variants, sample frames, limits.

use std::collections::BTreeMap;
use std::time::Duration;

use mathia_protocol::limits::*;

const DOCUMENT: &str = include_str!("../PROTOCOL.md");
const GOLDEN: &str = include_str!("golden/frames.txt");
const LIMITS: &str = include_str!("../src/limits.rs");

/// A limit as the document writes it.
trait Written {
    fn written(&self) -> String;
}

macro_rules! numbers {
    ($($number:ty),+) => { $(impl Written for $number {
        fn written(&self) -> String {
            with_commas(&self.to_string())
        }
    })+ };
}
numbers!(u8, u16, u32, u64, usize);

impl Written for &[u8] {
    fn written(&self) -> String {
        String::from_utf8_lossy(self).into_owned()
    }
}

impl Written for Duration {
    fn written(&self) -> String {
        match self.subsec_millis() {
            0 => format!("{} s", with_commas(&self.as_secs().to_string())),
            _ => format!("{} ms", with_commas(&self.as_millis().to_string())),
        }
    }
}

fn with_commas(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

macro_rules! written {
    ($($name:ident),+ $(,)?) => {
        BTreeMap::from([$((stringify!($name), $name.written())),+])
    };
}

/// Every limit by its name.
fn limits() -> BTreeMap<&'static str, String> {
    written![
        STREAM_VERSION,
        PROTOCOL_VERSION,
        ALPN,
        PREFIX_LEN,
        FRAME_LEN_MAX_OPENING,
        FRAME_LEN_MAX,
        FRAME_LEN_MAX_COMMIT,
        MESSAGE_TEXT_LEN_MAX,
        ANSWER_TEXT_LEN_MAX,
        EMOJI_LEN_MAX,
        ASK_ATTACHED_MAX,
        CAUSE_LEN_MAX,
        DELTA_TEXT_LEN_MAX,
        DELTA_LEN_MAX,
        DELTAS_PER_SECOND,
        CARD_TEXT_LEN_MAX,
        CARD_LEN_MAX,
        ENTRY_LEN_MAX,
        COMMIT_LEN_MAX,
        SETTINGS_BOX_LEN_MAX,
        LINK_LEN_MAX,
        CHAIN_LINKS_MAX,
        MEMBERS_MAX,
        DEVICES_MAX,
        IN_FLIGHT_MAX,
        REQUESTS_MAX,
        SLOTS_MAX,
        WRAPS_PER_BATCH_MAX,
        SYNC_WINDOW_MAX,
        SYNC_PENDING_MAX,
        SYNC_PENDING_BYTES_MAX,
        SYNC_CLAIMS_MAX,
        SYNC_ASK_MAX,
        SYNC_TRIES_MAX,
        HISTORY_PAGE_MAX,
        HISTORY_PAGE_BYTES_MAX,
        RESUME_PAGE_MAX,
        HEADS_PAGE_MAX,
        ACCOUNTS_PER_REQUEST_MAX,
        SMALL_ROOM_MEMBERS_MAX,
        MARKS_INTERVAL,
        HANDLE_LEN_MIN,
        HANDLE_LEN_MAX,
        ROOM_NAME_LEN_MAX,
        TOPIC_LEN_MAX,
        PICTURE_LEN_MAX,
        DEVICE_NAME_LEN_MAX,
        OPERATOR_LEN_MAX,
        CLOCK_SKEW_MAX,
        DEVICE_QUARANTINE,
        EPOCH_AGE_MAX,
        EPOCH_MESSAGES_MAX,
        HPKE_ROTATE_AFTER,
        CHAIN_REFRESH_AFTER,
        HELLO_TIMEOUT,
        FRAME_TIMEOUT,
        IDLE_TIMEOUT,
        KEEP_ALIVE,
        NUDGE_AFTER,
        TYPING_INTERVAL,
        TYPING_SHOWN,
    ]
}

/// The lines of the section whose heading begins so.
fn section(heading: &str) -> impl Iterator<Item = &'static str> {
    let mut lines = DOCUMENT.lines().skip_while(move |line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "the document has no section {heading}");
    lines.take_while(|line| !line.starts_with("## "))
}

#[test]
fn every_limit_has_its_row_and_its_value() {
    let limits = limits();
    for line in LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap();
        assert!(limits.contains_key(name), "{name} is new: add it here and to the document");
    }
    let mut rows = BTreeMap::new();
    for line in section("## 11 Limits").filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        rows.insert(cells[1].trim_matches('`'), cells[2].to_owned());
    }
    assert_eq!(rows, limits);
}

#[test]
fn every_sample_frame_is_a_golden_one() {
    let mut samples = section("## 3 Encoding")
        .skip_while(|line| *line != "```golden")
        .skip(1)
        .take_while(|line| *line != "```")
        .peekable();
    assert!(samples.peek().is_some(), "the document shows samples");
    for sample in samples {
        assert!(GOLDEN.lines().any(|line| line == sample), "no golden frame is {sample}");
    }
}

/// The number of each variant is taken from its golden bytes, behind what frames it.
#[test]
fn every_table_numbers_its_variants_as_the_wire_does() {
    let tables = [
        ("## 6 Requests", "Request", "fb2c01"),
        ("## 7 Replies", "Reply", "0107"),
        ("## 8 Events", "Event", "00"),
        ("## 10 Faults", "Fault", "0207"),
    ];
    for (heading, kind, frame) in tables {
        let mut numbers = BTreeMap::new();
        for line in GOLDEN.lines() {
            let (name, bytes) = line.split_once(' ').unwrap();
            if let Some((found, variant)) = name.split_once("::")
                && found == kind
            {
                let rest = bytes.strip_prefix(frame).unwrap();
                numbers.insert(variant, u8::from_str_radix(&rest[..2], 16).unwrap());
            }
        }
        let mut rows = BTreeMap::new();
        for line in section(heading) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            if let Some(Ok(number)) = cells.get(1).map(|cell| cell.parse::<u8>()) {
                rows.insert(cells[2].split('`').nth(1).unwrap(), number);
            }
        }
        assert_eq!(rows, numbers, "{heading}");
    }
}
