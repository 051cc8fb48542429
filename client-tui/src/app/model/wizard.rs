//! The first start: link and name asked, the server's key shown if nothing vouches for it, the
//! recovery words shown once.

use mathia_protocol::crypto::invite::Invite;
use zeroize::Zeroizing;

use crate::app::composer::Composer;
use crate::app::join::PendingJoin;
use crate::safe_text::SafeText;

/// The first start.
#[derive(Debug, Default)]
pub(crate) struct Wizard {
    pub(crate) link: Composer,
    pub(crate) name: Composer,
    pub(crate) step: Step,
    /// A join that was begun before and not answered.
    pub(crate) pending_join: Option<PendingJoin>,
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

/// Where a link leads, read from the link itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InviteServer {
    /// Host and port.
    pub(crate) address: SafeText,
    /// Whether the link holds the server's key, so that no other server can take its place.
    pub(crate) has_key: bool,
}

impl Wizard {
    /// A first start; a join that was begun before keeps its name.
    pub(crate) fn new(pending_join: Option<PendingJoin>) -> Self {
        let name = pending_join.as_ref().map_or("", |pending_join| pending_join.name.as_str());
        Self { name: Composer::with_text(name), pending_join, ..Self::default() }
    }

    /// Where the link written so far leads, once it is a whole one.
    pub(crate) fn invite_server(&self) -> Option<InviteServer> {
        let invite: Invite = self.link.text().parse().ok()?;
        let address = SafeText::line(&invite.address());
        Some(InviteServer { address, has_key: invite.ticket.is_some() })
    }

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

/// The link in a pasted text, which may have come with a sentence around it, or broken into lines.
pub(crate) fn link_in(text: &str) -> String {
    let is_link = |word: &&str| word.parse::<Invite>().is_ok();
    let quoted = |c: char| matches!(c, '<' | '>' | '"' | '\'' | '`' | '(' | ')' | ',');
    let words = text.split(|c: char| c.is_whitespace() || quoted(c));
    // The longest, since a link cut before its secret is a whole one of another kind.
    if let Some(link) = words.clone().filter(is_link).max_by_key(|word| word.len())
        && link.contains('#')
    {
        return link.to_owned();
    }
    let joined: String = text.split_whitespace().collect();
    let trimmed = joined.trim_matches(quoted);
    if trimmed.parse::<Invite>().is_ok() {
        return trimmed.to_owned();
    }
    words.filter(is_link).max_by_key(|word| word.len()).unwrap_or(&joined).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An invite as servers print it: four parts of 26 characters.
    fn invite() -> String {
        let part = "abcdefghijklmnopqrstuvwxya";
        format!("mathia://chat.example.org:4433/#{part}.{part}.{part}.{part}")
    }

    #[test]
    fn a_link_is_found_whatever_came_with_it() {
        let link = invite();
        let (one, other) = link.split_at(60);
        for pasted in [
            format!("  {link}\r\n"),
            format!("{one}\n{other}\n"),
            format!("{one}\r\n    {other}"),
            format!("come in: <{link}>, and bring cake"),
            format!("mathia-tui join '{link}' --name ann"),
        ] {
            assert_eq!(link_in(&pasted), link, "{pasted:?}");
        }
        assert_eq!(link_in(" mathia://example.org:4433 \n"), "mathia://example.org:4433");
        assert_eq!(link_in("see mathia://example.org:4433 there"), "mathia://example.org:4433");
    }

    #[test]
    fn what_is_no_link_stays_to_be_mended() {
        assert_eq!(link_in(" example.org\n"), "example.org");
        let cut = &invite()[..70];
        assert_eq!(link_in(cut), cut);
    }
}
