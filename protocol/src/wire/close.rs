//! Why a connection ends: the application error codes of QUIC's `CONNECTION_CLOSE`.

/// Why the server (or a client) closed a connection.
///
/// **Append only**: the number is the code on the wire. An unknown code is to be treated like
/// [`Self::Bye`]: connect again after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// Nothing is wrong.
    Bye = 0,
    /// The peer sent what is no frame, or none that makes sense there. Retrying never helps.
    Malformed = 1,
    /// The peer took nothing, or did not finish a frame, for too long. Connect again and resume.
    TooSlow = 2,
    /// Login or registration was refused; the fault came before. Retrying never helps.
    Refused = 3,
    /// The device was revoked, the account removed, or a message was signed wrongly. Retrying never
    /// helps.
    Expelled = 4,
    /// The server stops. Connect again soon.
    Stopping = 5,
    /// No opening frame came in time.
    NoHello = 6,
    /// The server failed. Connect again after a pause.
    Internal = 7,
}

impl CloseCode {
    /// All codes.
    const ALL: [Self; 8] = [
        Self::Bye,
        Self::Malformed,
        Self::TooSlow,
        Self::Refused,
        Self::Expelled,
        Self::Stopping,
        Self::NoHello,
        Self::Internal,
    ];

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Reads a number from the wire; unknown ones mean [`Self::Bye`].
    pub fn from_number(number: u64) -> Self {
        Self::ALL.into_iter().find(|code| u64::from(code.number()) == number).unwrap_or(Self::Bye)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_numbers_and_unknown_ones_are_harmless() {
        for (number, code) in (0..).zip(CloseCode::ALL) {
            assert_eq!(code.number(), number);
            assert_eq!(CloseCode::from_number(u64::from(number)), code);
        }
        assert_eq!(CloseCode::from_number(1 << 40), CloseCode::Bye);
    }
}
