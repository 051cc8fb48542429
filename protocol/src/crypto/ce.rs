//! Canonical encoding of everything that is signed or hashed (CRYPTO B1).
//!
//! Fixed-width big-endian fields in order; variable fields are `length(u32 BE) || bytes`; lists are
//! `count(u32 BE) || items`. There is exactly one encoding of a value, and the reader accepts no other:
//! signatures are checked over the received bytes, never over something written again.

/// Why bytes are no canonical encoding. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CeError {
    /// The bytes end inside a field.
    #[error("the encoding ends early")]
    Short,
    /// Bytes are left over behind the last field.
    #[error("{0} bytes follow the encoding")]
    Trailing(usize),
    /// A length or count exceeds what the format allows.
    #[error("a length of {len} exceeds {max}")]
    TooLong {
        /// The length found.
        len: usize,
        /// The largest length allowed here.
        max: usize,
    },
    /// An enumeration, option or version byte has a value that is not defined.
    #[error("byte {value} is no {what}")]
    Unknown {
        /// The field.
        what: &'static str,
        /// The byte found.
        value: u8,
    },
    /// A list is not in rising order or holds an item twice.
    #[error("the {0} list is not sorted")]
    Unsorted(&'static str),
    /// A text field is not UTF-8, or not a valid name.
    #[error("the {0} is no valid text")]
    Text(&'static str),
}

/// Writes canonical encodings.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts an empty encoding.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts an empty encoding with room for `n_bytes`.
    pub fn with_capacity(n_bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(n_bytes) }
    }

    /// Appends bytes of a length fixed by the format.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.fixed(&[value])
    }

    /// Appends a 16-bit number.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Appends a 32-bit number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Appends a 64-bit number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Appends `length(u32 BE) || bytes`.
    ///
    /// # Panics
    ///
    /// If the field exceeds 4 GiB; every caller's limit is far below.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).fixed(bytes)
    }

    /// Appends the count of a list; the items follow.
    ///
    /// # Panics
    ///
    /// If the count exceeds 32 bits; every caller's limit is far below.
    pub fn count(&mut self, n_items: usize) -> &mut Self {
        self.u32(u32::try_from(n_items).expect("a list or field is bounded far below 4 GiB"))
    }

    /// Appends `0`, or `1` and what `write` adds.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => {
                self.u8(0);
            }
            Some(value) => {
                self.u8(1);
                write(self, value);
            }
        }
        self
    }

    /// Hands the encoding over.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Reads canonical encodings; every method fails instead of guessing.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], CeError> {
        if self.rest.len() < len {
            return Err(CeError::Short);
        }
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    /// Takes an array of fixed length.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CeError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, CeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes a 16-bit number.
    pub fn u16(&mut self) -> Result<u16, CeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a 32-bit number.
    pub fn u32(&mut self) -> Result<u32, CeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a 64-bit number.
    pub fn u64(&mut self) -> Result<u64, CeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes a variable field of at most `max` bytes.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], CeError> {
        let len = self.count(max)?;
        self.take(len)
    }

    /// Takes a variable field of at most `max` bytes that must be UTF-8; `what` names it in the error.
    pub fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, CeError> {
        std::str::from_utf8(self.bytes(max)?).map_err(|_| CeError::Text(what))
    }

    /// Takes the count of a list, at most `max`.
    pub fn count(&mut self, max: usize) -> Result<usize, CeError> {
        let len = usize::try_from(self.u32()?).map_err(|_| CeError::Short)?;
        if len > max { Err(CeError::TooLong { len, max }) } else { Ok(len) }
    }

    /// Takes an option byte and, if it says so, what `read` reads.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, CeError>,
    ) -> Result<Option<T>, CeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            value => Err(CeError::Unknown { what: "option", value }),
        }
    }

    /// Ends the reading; bytes that are left over are an error.
    pub fn finish(self) -> Result<(), CeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CeError::Trailing(self.rest.len())) }
    }
}

/// Defines an enumeration with fixed byte values, in the order of the format.
macro_rules! byte_enum {
    (
        $(#[$doc:meta])* $name:ident, $what:literal,
        { $($(#[$variant_doc:meta])* $variant:ident = $value:tt,)+ }
    ) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode,
        )]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $value,)+
        }

        impl $name {
            /// Every value, in the order of the format.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The byte that stands for it in signed encodings.
            pub const fn to_byte(self) -> u8 {
                self as u8
            }

            /// Reads the byte that stands for it.
            ///
            /// # Errors
            ///
            /// [`CeError::Unknown`](crate::crypto::ce::CeError::Unknown) for any other byte.
            pub fn from_byte(value: u8) -> Result<Self, $crate::crypto::ce::CeError> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    value => Err($crate::crypto::ce::CeError::Unknown { what: $what, value }),
                }
            }
        }
    };
}
pub(crate) use byte_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_accepted() {
        let bytes = Writer::new()
            .u8(7)
            .u32(9)
            .bytes(b"abc")
            .option(Some(5u64), |w, v| {
                w.u64(v);
            })
            .finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u32(), Ok(9));
        assert_eq!(reader.bytes(3), Ok(&b"abc"[..]));
        assert_eq!(reader.option(Reader::u64), Ok(Some(5)));
        assert_eq!(reader.finish(), Ok(()));

        assert_eq!(Reader::new(&[0, 0, 0, 9]).bytes(8), Err(CeError::TooLong { len: 9, max: 8 }));
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).bytes(8), Err(CeError::Short));
        assert_eq!(
            Reader::new(&[2]).option(Reader::u8),
            Err(CeError::Unknown { what: "option", value: 2 })
        );
        assert_eq!(Reader::new(&[1]).finish(), Err(CeError::Trailing(1)));
    }
}
