//! Every frame and datagram of the wire.

use std::fmt::Debug;

use bytes::BytesMut;
use mathia_protocol::limits::{FRAME_LEN_MAX_COMMIT, PREFIX_LEN};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, ClientDatagram, Frame, Opening, OpeningReply, ServerDatagram,
    ServerFrame, WireError, decode, encode_body, encode_frame, take_frame,
};

use crate::Seed;

/// The first byte says which type of frame the rest is.
pub fn frame(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind {
        0 => check::<Opening>(body),
        1 => check::<OpeningReply>(body),
        2 => check::<Call>(body),
        3 => check::<ServerFrame>(body),
        4 => check::<BulkRequest>(body),
        5 => check::<BulkReply>(body),
        6 => check::<ClientDatagram>(body),
        7 => check::<ServerDatagram>(body),
        _ => stream(body),
    }
}

fn check<T: Frame + PartialEq + Debug>(body: &[u8]) {
    drop(there_and_back::<T>(body));
}

/// What decodes is the same after encoding, and no other length of the bytes means anything.
pub(crate) fn there_and_back<T: Frame + PartialEq + Debug>(body: &[u8]) -> Option<T> {
    if body.len() > FRAME_LEN_MAX_COMMIT {
        return None;
    }
    let value = decode::<T>(body).ok()?;
    let bytes = encode_body(&value);
    assert!(bytes.len() <= body.len(), "numbers are written in their shortest form");
    assert_eq!(decode::<T>(&bytes).expect("our own bytes decode"), value);

    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(decode::<T>(&longer), Err(WireError::Trailing(1))));
    assert!(decode::<T>(&bytes[..bytes.len() - 1]).is_err(), "no value is another's beginning");

    let mut buffer = BytesMut::from(encode_frame(&value).as_ref());
    let taken = take_frame(&mut buffer, bytes.len()).expect("within the limit");
    assert_eq!(taken.expect("the frame is whole"), bytes);
    assert!(buffer.is_empty());
    Some(value)
}

/// Cutting a stream into frames takes none above its limit and loses no byte.
fn stream(data: &[u8]) {
    const LEN_MAX: usize = 64;
    let mut buffer = BytesMut::from(data);
    let mut n_taken = 0;
    while let Ok(Some(body)) = take_frame(&mut buffer, LEN_MAX) {
        assert!(body.len() <= LEN_MAX);
        assert_eq!(body, data[n_taken + PREFIX_LEN..][..body.len()]);
        n_taken += PREFIX_LEN + body.len();
    }
    assert_eq!(buffer, data[n_taken..]);
}

/// The golden frames: one of each variant.
pub(crate) fn seeds() -> Vec<Seed> {
    let golden = include_str!("../../protocol/tests/golden/frames.txt");
    let mut seeds: Vec<Seed> = golden.lines().filter_map(seed).collect();
    seeds.push(("stream".to_owned(), b"\x08\0\0\0\x02ab\0\0\0\0\0\0\0\x01c".to_vec()));
    seeds
}

fn seed(line: &str) -> Option<Seed> {
    let (name, bytes) = line.split_once(' ')?;
    let kind = match name.split_once("::")?.0 {
        "Opening" => 0,
        "OpeningReply" => 1,
        "Request" => 2,
        "Reply" | "Fault" | "Event" => 3,
        "BulkRequest" => 4,
        "BulkReply" => 5,
        "ClientDatagram" => 6,
        "ServerDatagram" => 7,
        _ => return None,
    };
    let digits = bytes.as_bytes().chunks_exact(2);
    let body =
        digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some((name.replace("::", "."), std::iter::once(kind).chain(body).collect()))
}
