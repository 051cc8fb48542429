//! Questions on the terminal; a script is never asked.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Longest answer read from a person, in bytes: a line, not a file.
const ANSWER_LEN_MAX: u64 = 1_024;

/// What may be asked, and what is answered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt {
    /// `--yes`: every question is answered.
    pub says_yes: bool,
    /// Whether somebody sits at stdin and may be asked.
    pub is_interactive: bool,
    /// Whether stdout is a screen, where secrets may be shown.
    pub shows_secrets: bool,
}

impl Prompt {
    /// Looks at the process's own streams.
    pub fn process(says_yes: bool, no_input: bool) -> Self {
        let has_person = std::io::stdin().is_terminal();
        Self {
            says_yes,
            is_interactive: has_person && !no_input,
            shows_secrets: has_person && std::io::stdout().is_terminal(),
        }
    }

    /// Asks like [`Self::confirm`] where somebody can be asked, and goes on where nobody can: for
    /// things that others can undo.
    ///
    /// # Errors
    ///
    /// Exit 1 if another word was typed.
    pub fn confirm_if_person(
        self,
        out: &mut Output<'_>,
        question: &str,
        word: &str,
    ) -> Result<(), Failure> {
        if self.is_interactive { self.confirm(out, question, word) } else { Ok(()) }
    }

    /// Asks for a typed word before something that cannot be undone.
    ///
    /// # Errors
    ///
    /// Exit 2 if nobody can be asked; exit 1 if another word was typed.
    pub fn confirm(self, out: &mut Output<'_>, question: &str, word: &str) -> Result<(), Failure> {
        if self.says_yes {
            return Ok(());
        }
        if !self.is_interactive {
            return Err(Failure::new(Exit::Usage, "this needs a yes, and nobody can be asked")
                .hint("add --yes"));
        }
        out.prompt(&format!("{question} Type {word} to go on:"));
        if read_answer()?.trim() == word {
            Ok(())
        } else {
            Err(Failure::new(Exit::Failed, "nothing was done"))
        }
    }
}

/// Reads one line a person typed.
pub(super) fn read_answer() -> Result<String, Failure> {
    let mut answer = String::new();
    std::io::stdin().lock().take(ANSWER_LEN_MAX).read_line(&mut answer)?;
    Ok(answer)
}

/// Reads stdin to its end, but no more than `len_max` bytes, without the last newline.
///
/// # Errors
///
/// Exit 2 if there is more, or if it is no text.
pub(super) async fn read_stdin(len_max: usize) -> Result<String, Failure> {
    // On a thread of its own: a signal must still be handled while a pipe is silent.
    let read = tokio::task::spawn_blocking(move || {
        let limit = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(2);
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read.await.map_err(|_| Failure::new(Exit::Failed, "stdin cannot be read"))??;
    to_text(bytes, len_max)
}

fn to_text(bytes: Vec<u8>, len_max: usize) -> Result<String, Failure> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        if error.as_bytes().len() > len_max {
            too_long(len_max)
        } else {
            Failure::new(Exit::Usage, "what came from stdin is no UTF-8 text")
        }
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.len() > len_max { Err(too_long(len_max)) } else { Ok(text) }
}

fn too_long(len_max: usize) -> Failure {
    Failure::new(Exit::Usage, format!("a message has at most {len_max} bytes of text"))
        .hint("send it in parts; nothing was sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(says_yes: bool) -> Prompt {
        Prompt { says_yes, is_interactive: false, shows_secrets: false }
    }

    #[test]
    fn a_script_is_never_asked() {
        let mut out = Output::new(false, std::io::sink(), std::io::sink());
        assert!(prompt(true).confirm(&mut out, "Wipe?", "yes").is_ok());
        let refused = prompt(false).confirm(&mut out, "Wipe?", "yes").unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
    }

    #[test]
    fn text_from_a_pipe_is_bounded_and_loses_one_newline() {
        let read = |text: &str| to_text(text.as_bytes().to_vec(), 4).map_err(|f| f.exit);
        assert_eq!(read("abc\n"), Ok("abc".to_owned()));
        assert_eq!(read("abc\n\n"), Ok("abc\n".to_owned()));
        assert_eq!(read("abc\r\n"), Ok("abc".to_owned()));
        assert_eq!(read("abcd\n"), Ok("abcd".to_owned()));
        assert_eq!(read("abcde"), Err(Exit::Usage));
        assert_eq!(to_text(vec![0xFF], 4).unwrap_err().exit, Exit::Usage);
        // A character cut by the limit is "too long", not "no text".
        assert!(to_text("ééé".as_bytes()[..5].to_vec(), 4).unwrap_err().message.contains('4'));
    }
}
