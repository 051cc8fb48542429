//! The codec: values to frames and back, refusing before it allocates.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::SizeWriter;
use bincode::{Decode, Encode};
use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{FRAME_LEN_MAX_COMMIT, PREFIX_LEN};

/// Decoding claims memory, not wire bytes: four times the largest frame covers the widest element.
const DECODE_LIMIT: usize = 4 * FRAME_LEN_MAX_COMMIT;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> =
    bincode::config::standard().with_limit::<DECODE_LIMIT>();

/// Why bytes are no frame. Retrying never helps; the connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The length prefix exceeds what the connection may send now.
    #[error("frame of {len} bytes exceeds {max}")]
    TooLong {
        /// Announced length in bytes.
        len: usize,
        /// Allowed length in bytes.
        max: usize,
    },
    /// The body is no value of the expected type.
    #[error("frame does not decode")]
    Malformed,
    /// Bytes follow the value.
    #[error("{0} bytes follow the value in a frame")]
    Trailing(usize),
}

/// A value that travels as one frame or datagram. Implemented by this module only.
pub trait Frame: Encode + Decode<()> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! frames {
    ($($name:ty),+ $(,)?) => { $(impl sealed::Sealed for $name {} impl Frame for $name {})+ };
}

frames!(
    super::Opening,
    super::OpeningReply,
    super::Call,
    super::ServerFrame,
    super::BulkRequest,
    super::BulkReply,
    super::ClientDatagram,
    super::ServerDatagram,
);

/// Encodes a value without length prefix: the body of a frame, or a datagram.
///
/// # Panics
///
/// Never in practice: encoding into memory has no error for our types.
pub fn encode_body<T: Frame>(value: &T) -> Vec<u8> {
    // The limit guards decoding; encoding is bounded by the callers' limits.
    bincode::encode_to_vec(value, bincode::config::standard())
        .expect("encoding plain structs and enums into memory cannot fail")
}

/// Encodes a value as a whole frame, prefix included, ready to be shared by all who get it.
///
/// # Panics
///
/// If the body exceeds 4 GiB, which every caller's limit forbids.
pub fn encode_frame<T: Frame>(value: &T) -> Bytes {
    // Measured first, so that the frame is one allocation of exactly its size: it is made for every
    // entry and lives until the slowest session has it.
    let mut size = SizeWriter::default();
    bincode::encode_into_writer(value, &mut size, bincode::config::standard())
        .expect("measuring plain structs and enums cannot fail");
    let mut frame = Vec::with_capacity(PREFIX_LEN + size.bytes_written);
    frame.extend_from_slice(&[0; PREFIX_LEN]);
    bincode::encode_into_std_write(value, &mut frame, bincode::config::standard())
        .expect("encoding plain structs and enums into memory cannot fail");
    let len = u32::try_from(frame.len() - PREFIX_LEN).expect("frames are bounded far below 4 GiB");
    frame[..PREFIX_LEN].copy_from_slice(&len.to_be_bytes());
    frame.into()
}

/// Decodes the body of one frame or datagram; all bytes must be consumed.
///
/// # Errors
///
/// [`WireError::Malformed`] and [`WireError::Trailing`]; the peer speaks another language.
pub fn decode<T: Frame>(body: &[u8]) -> Result<T, WireError> {
    let (value, consumed) =
        bincode::decode_from_slice(body, CONFIG).map_err(|_| WireError::Malformed)?;
    if consumed == body.len() { Ok(value) } else { Err(WireError::Trailing(body.len() - consumed)) }
}

/// Takes one whole frame body off the front of `buffer`; `None` means "need more bytes".
///
/// # Errors
///
/// [`WireError::TooLong`] as soon as the prefix is readable, before any body is buffered.
pub fn take_frame(buffer: &mut BytesMut, len_max: usize) -> Result<Option<Bytes>, WireError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_LEN>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*prefix) as usize;
    if len > len_max {
        return Err(WireError::TooLong { len, max: len_max });
    }
    if buffer.len() < PREFIX_LEN + len {
        return Ok(None);
    }
    buffer.advance(PREFIX_LEN);
    Ok(Some(buffer.split_to(len).freeze()))
}

#[cfg(test)]
mod tests {
    use super::super::{ClientDatagram, Opening};
    use super::*;
    use crate::id::RoomNumber;

    #[test]
    fn a_frame_is_taken_whole_or_not_at_all() {
        let frame = encode_frame(&Opening::Info);
        let mut buffer = BytesMut::from(&frame[..frame.len() - 1]);
        assert!(take_frame(&mut buffer, 64).unwrap().is_none());
        buffer.extend_from_slice(&frame[frame.len() - 1..]);
        buffer.extend_from_slice(b"next");
        let body = take_frame(&mut buffer, 64).unwrap().unwrap();
        assert!(matches!(decode::<Opening>(&body), Ok(Opening::Info)));
        assert_eq!(&buffer[..], b"next");
    }

    #[test]
    fn an_oversized_length_is_refused_before_its_body_arrives() {
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert!(matches!(take_frame(&mut buffer, 64), Err(WireError::TooLong { max: 64, .. })));
    }

    #[test]
    fn bytes_behind_a_value_and_bombs_are_refused() {
        let mut body = encode_body(&ClientDatagram::Typing { room: RoomNumber(3) });
        body.push(0);
        assert!(matches!(decode::<ClientDatagram>(&body), Err(WireError::Trailing(1))));
        // Variant 2 (Register), then a claimed vector of 2^62 bytes.
        let bomb = [2, 1, 0, 0, 253, 0, 0, 0, 0, 0, 0, 0, 64];
        assert!(matches!(decode::<Opening>(&bomb), Err(WireError::Malformed)));
    }
}
