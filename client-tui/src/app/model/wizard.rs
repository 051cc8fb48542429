//! The first start: link and name asked, the server's key shown if nothing vouches for it, the
//! recovery words shown once.

use zeroize::Zeroizing;

use crate::app::composer::Composer;
use crate::safe_text::SafeText;

/// The first start.
#[derive(Debug, Default)]
pub(crate) struct Wizard {
    pub(crate) link: Composer,
    pub(crate) name: Composer,
    pub(crate) step: Step,
    /// What went wrong, and what to do.
    pub(crate) error: Option<SafeText>,
}

/// Where the first start stands.
#[derive(Default)]
pub(crate) enum Step {
    /// Asking for the link.
    #[default]
    Link,
    /// Asking for the name.
    Name,
    /// Joining.
    Joining,
    /// Nothing vouches for the server's key: the person compares and types `yes`.
    UnknownServer { address: SafeText, fingerprint: SafeText, typed: Composer },
    /// Showing the words that bring the account back, once.
    Words(Vec<Zeroizing<String>>),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Link => "Link",
            Self::Name => "Name",
            Self::Joining => "Joining",
            Self::UnknownServer { .. } => "UnknownServer",
            Self::Words(_) => "Words(..)",
        })
    }
}

impl Wizard {
    /// The field being written, if one is.
    pub(crate) fn field_mut(&mut self) -> Option<&mut Composer> {
        match &mut self.step {
            Step::Link => Some(&mut self.link),
            Step::Name => Some(&mut self.name),
            Step::UnknownServer { typed, .. } => Some(typed),
            Step::Joining | Step::Words(_) => None,
        }
    }
}
