//! What answers when no model is connected: the program itself, which says so.

use mathia_protocol::id::TimeMs;

use super::{
    AnswerFuture, Attached, FinishReason, Finished, Provider, Question, Sink, Source, Usage, prompt,
};

/// The name where a model's would stand.
const NAME: &str = "built in";
/// Characters of a message that a catch-up list shows: a line of a terminal.
const EXCERPT_LEN_MAX: usize = 72;

const HELP: &str = "\
@mathia TEXT            asks; only this message is shown to me
@mathia TEXT, context   attach messages in the envelope, or with --context N
@mathia help            this

No model is connected, so I am only a program: of attached messages I make a list to catch up by.";

const HOW_TO_CONNECT: &str = "\
No model is connected, so I cannot answer that. The operator of this server connects one by setting \
provider = \"openai\", base_url and model (and key_file) under [assistant] in the server's \
configuration.";

/// Answers without a model: help, a catch-up list, or how to connect one.
#[derive(Debug)]
pub struct Builtin {
    source: Source,
}

impl Builtin {
    /// The one there is.
    pub fn new() -> Self {
        let source = Source {
            provider: "builtin",
            host: String::new(),
            model: NAME.to_owned(),
            is_local: true,
        };
        Self { source }
    }
}

impl Default for Builtin {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for Builtin {
    fn source(&self) -> &Source {
        &self.source
    }

    fn answer<'a>(&'a self, question: &'a Question, sink: &'a mut dyn Sink) -> AnswerFuture<'a> {
        Box::pin(async move {
            let text = reply(question);
            sink.text(&text);
            let (ending, model) = (FinishReason::Complete, NAME.to_owned());
            Ok(Finished { text, ending, model, usage: Usage::default() })
        })
    }
}

/// What the program says to a question.
fn reply(question: &Question) -> String {
    let asked = question.text.trim().trim_start_matches('/').trim_end_matches(['?', '!', '.']);
    if asked.trim().eq_ignore_ascii_case("help") {
        HELP.to_owned()
    } else if question.attached.is_empty() {
        HOW_TO_CONNECT.to_owned()
    } else {
        catch_up(&question.attached)
    }
}

fn catch_up(attached: &[Attached]) -> String {
    let messages = match attached.len() {
        1 => "One message was attached".to_owned(),
        n => format!("{n} messages were attached"),
    };
    let mut text = format!("{messages}. No model is connected, so this is a list and no answer.\n");
    let mut day = String::new();
    for message in attached {
        let (date, clock) = date_and_clock(message.time);
        if date != day {
            text.extend(["\n", &date, "\n"]);
            day = date;
        }
        text.extend([&clock, " ", message.handle.as_str(), ": ", &excerpt(&message.text), "\n"]);
    }
    text.truncate(text.trim_end().len());
    text
}

/// The day, and the time of day; times are UTC, which the day says.
fn date_and_clock(time: TimeMs) -> (String, String) {
    let whole = prompt::time(time);
    match whole.split(' ').collect::<Vec<_>>().as_slice() {
        [date, clock, zone] => (format!("{date} ({zone})"), (*clock).to_owned()),
        _ => (whole, "--:--".to_owned()),
    }
}

/// The first line of a message, cut where a terminal's line ends.
fn excerpt(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let has_more = line.len() < text.trim().len();
    match line.char_indices().nth(EXCERPT_LEN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if has_more => format!("{line} …"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(text: &str, attached: &[(&str, u64, &str)]) -> Finished {
        let attached = attached.iter().map(|(handle, minutes, text)| Attached {
            handle: handle.parse().unwrap(),
            time: TimeMs(1_764_028_680_000 + minutes * 60_000),
            text: (*text).to_owned(),
        });
        let asker = "ann".parse().unwrap();
        let question = Question { asker, text: text.into(), attached: attached.collect() };
        let mut heard = String::new();
        let finished =
            Builtin::new().answer(&question, &mut |piece: &str| heard.push_str(piece)).await;
        let finished = finished.unwrap();
        assert_eq!(finished.text, heard);
        finished
    }

    #[tokio::test]
    async fn help_is_given_and_costs_nothing() {
        for asked in ["help", " Help? ", "/help", "HELP!"] {
            let finished = answer(asked, &[]).await;
            assert_eq!(finished.text, HELP);
            assert_eq!(finished.usage, Usage::default());
        }
    }

    #[tokio::test]
    async fn without_a_model_it_says_how_to_connect_one() {
        let text = answer("Is the help page down?", &[]).await.text;
        for key in ["[assistant]", "provider", "base_url", "model", "key_file"] {
            assert!(text.contains(key), "{text}");
        }
    }

    #[tokio::test]
    async fn what_was_attached_becomes_a_list_by_day() {
        let long = "x".repeat(200);
        let messages =
            [("bob", 0, "late one"), ("eve", 1, "first line\nsecond"), ("bob", 2, long.as_str())];
        let text = answer("catch me up", &messages).await.text;
        let expected = format!(
            "3 messages were attached. No model is connected, so this is a list and no answer.\n\n\
             2025-11-24 (UTC)\n23:58 bob: late one\n23:59 eve: first line …\n\n\
             2025-11-25 (UTC)\n00:00 bob: {}…",
            "x".repeat(EXCERPT_LEN_MAX)
        );
        assert_eq!(text, expected);
    }
}
