//! Every bound of the protocol on one page, each with its reason.

use std::time::Duration;

/// First byte of each direction of each stream; another value is answered by closing.
pub const STREAM_VERSION: u8 = 1;
/// The protocol version that `Hello` and `Welcome` speak of.
pub const PROTOCOL_VERSION: u16 = 1;
/// Application protocol name of the TLS handshake.
pub const ALPN: &[u8] = b"mathia/1";
/// Bytes of the length prefix of a frame.
pub const PREFIX_LEN: usize = 4;

/// A frame before login: a `Register` with its genesis link is under 1 KiB; 4 KiB leaves room.
pub const FRAME_LEN_MAX_OPENING: usize = 4 * 1024;
/// A frame after login: the largest entry fits.
pub const FRAME_LEN_MAX: usize = 64 * 1024;
/// A commit with its wraps: 1,000 members and their devices; more wraps are staged in batches.
pub const FRAME_LEN_MAX_COMMIT: usize = 256 * 1024;

/// Text of one message, in bytes of UTF-8. Longer things are files.
pub const MESSAGE_TEXT_LEN_MAX: usize = 16 * 1024;
/// Text of an assistant's answer, in bytes of UTF-8: ten thousand tokens of any usual language. It
/// still fits one entry, which still fits one frame.
pub const ANSWER_TEXT_LEN_MAX: usize = 60 * 1024;
/// The emoji of a reaction, in bytes of UTF-8: the longest in use (two people with skin tones,
/// kissing) has 35.
pub const EMOJI_LEN_MAX: usize = 64;
/// Messages shown to an assistant with one question.
pub const ASK_ATTACHED_MAX: usize = 200;
/// Text about what broke an answer off, in bytes: a sentence.
pub const CAUSE_LEN_MAX: usize = 512;
/// Text of one piece of an answer on its way, in bytes: pieces leave twenty times a second.
pub const DELTA_TEXT_LEN_MAX: usize = 8 * 1024;
/// A piece of an answer with its place, padding, seal and signature.
pub const DELTA_LEN_MAX: usize = 10 * 1024;
/// Pieces of one answer per second: the eye sees no more.
pub const DELTAS_PER_SECOND: u32 = 20;
/// Names of a provider and a model, in bytes.
pub const CARD_TEXT_LEN_MAX: usize = 128;
/// What an agent says of itself, signed.
pub const CARD_LEN_MAX: usize = 1_024;
/// A stored entry (tag, blob, signature): an answer, or a question with slots, and room to spare; a
/// frame holds one.
pub const ENTRY_LEN_MAX: usize = 63 * 1024;
/// A stored commit: 1,000 members at 70 bytes, with boxes; more people are added in several commits.
pub const COMMIT_LEN_MAX: usize = 128 * 1024;
/// The sealed name, topic and picture of a room: their limits, a picture reference, room to grow.
pub const SETTINGS_BOX_LEN_MAX: usize = 1_024;
/// A user chain link: a genesis with long operator text is under 1 KiB.
pub const LINK_LEN_MAX: usize = 2 * 1024;
/// Links in one user chain: device churn of decades; also bounds verification to about a second.
pub const CHAIN_LINKS_MAX: usize = 4_096;
/// Members of a room; one staged commit carries wraps for all their devices.
pub const MEMBERS_MAX: usize = 5_000;
/// Un-revoked devices of one account: a person's machines and some.
pub const DEVICES_MAX: usize = 32;
/// Messages of one device and room on the way: as Kafka's idempotent producer, kept small.
pub const IN_FLIGHT_MAX: usize = 16;
/// Requests of one session without an answer; the reply lane never drops, so it must be bounded here.
pub const REQUESTS_MAX: usize = 64;
/// Agents that one message may be shown to; a room seldom has more than one.
pub const SLOTS_MAX: usize = 8;
/// Wraps in one staging batch: 64 KiB frames of about 150 bytes each.
pub const WRAPS_PER_BATCH_MAX: usize = 400;

/// Positions of a room whose hashes a client keeps at hand; older ones are in its replica.
pub const SYNC_WINDOW_MAX: usize = 256;
/// Live entries of a room that wait for earlier ones: more are pulled from the log again.
pub const SYNC_PENDING_MAX: usize = 128;
/// Bytes of such entries: a few frames.
pub const SYNC_PENDING_BYTES_MAX: usize = 256 * 1024;
/// Claims about positions still ahead that a client keeps: the newest heads, a few ticks.
pub const SYNC_CLAIMS_MAX: usize = 64;
/// Entries asked for in one catch-up read: a few pages, so that it can be cancelled soon.
pub const SYNC_ASK_MAX: u32 = 1_024;
/// Fruitless tries to fill a gap before the alarm says that entries are withheld.
pub const SYNC_TRIES_MAX: u32 = 3;

/// Entries of one history page, so that a page of usual messages stays within a frame.
pub const HISTORY_PAGE_MAX: usize = 128;
/// Bytes of entries in one history page; at least one entry always fits.
pub const HISTORY_PAGE_BYTES_MAX: usize = 48 * 1024;
/// Cursors in one `Resume` request: 40 bytes each, within a frame.
pub const RESUME_PAGE_MAX: usize = 1_000;
/// Room heads in one reply: about 150 bytes each, within a frame.
pub const HEADS_PAGE_MAX: usize = 256;
/// Accounts in one batched lookup.
pub const ACCOUNTS_PER_REQUEST_MAX: usize = 500;

/// Up to this many members, marks travel by person and signed ticks to everyone; above, counts.
pub const SMALL_ROOM_MEMBERS_MAX: usize = 50;
/// Shortest time between two flushes of marks in one room: four a second reads as instant.
pub const MARKS_INTERVAL: Duration = Duration::from_millis(250);

/// Shortest handle: one letter is a typo.
pub const HANDLE_LEN_MIN: usize = 2;
/// Longest handle: fits a sidebar.
pub const HANDLE_LEN_MAX: usize = 32;
/// Longest room name, in bytes: fits a title line.
pub const ROOM_NAME_LEN_MAX: usize = 64;
/// Longest topic of a room, in bytes.
pub const TOPIC_LEN_MAX: usize = 256;
/// Longest reference to the picture of a room, in bytes: a file's place, key and hash.
pub const PICTURE_LEN_MAX: usize = 512;
/// Longest device name and operating system name, in bytes.
pub const DEVICE_NAME_LEN_MAX: usize = 64;
/// Longest operator text of an agent account, in bytes.
pub const OPERATOR_LEN_MAX: usize = 256;

/// Commits and links that claim a time further off the server's clock are refused.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);
/// A device younger than this may not revoke older ones.
pub const DEVICE_QUARANTINE: Duration = Duration::from_hours(24);
/// An epoch older than this, with messages, is rotated by the next sender.
pub const EPOCH_AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// An epoch with more messages than this is rotated by the next sender.
pub const EPOCH_MESSAGES_MAX: u64 = 10_000;
/// Own device keys (HPKE) are replaced after this time.
pub const HPKE_ROTATE_AFTER: Duration = Duration::from_hours(30 * 24);
/// Chain heads of members are asked anew after this time.
pub const CHAIN_REFRESH_AFTER: Duration = Duration::from_hours(24);

/// The peer has this long to send the first frame of a connection.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A frame must be whole this long after its first byte, against slow-loris peers.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without any packet for this long is gone.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The client keeps the path open; a third of the idle timeout survives one lost packet.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Something waits to be answered or taken, and for this long nothing at all has come from the peer:
/// it is asked for a sign of life. The transport's own tries are soon many seconds apart.
pub const NUDGE_AFTER: Duration = Duration::from_millis(250);

/// The smallest time between two typing datagrams for one room.
pub const TYPING_INTERVAL: Duration = Duration::from_secs(2);
/// A typing sign goes out this long after the last datagram.
pub const TYPING_SHOWN: Duration = Duration::from_secs(5);
