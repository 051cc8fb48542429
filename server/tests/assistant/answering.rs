//! What comes back when somebody asks: the right text, the right end, what it took, for everybody.

use std::time::Duration;

use mathia_protocol::client::{Command, Done, SealedBy};
use mathia_protocol::crypto::content::{Answer, Outcome, Usage};
use mathia_protocol::id::Seq;

use super::agent::{Agent, settings};
use super::house::{House, mathia};
use crate::cast::{TestResult, Town};
use crate::model::wire::{answer, chunked, delta, ending, event, sized, until_closed};
use crate::model::{ModelServer, within};

/// Counts that the model's server gave.
pub(crate) fn counted(prompt: u32, completion: u32) -> Usage {
    Usage { prompt, completion, total: prompt + completion, is_estimated: false }
}

impl House {
    /// Ann asks, the model says this; both see the same answer, and it stands once in the log.
    pub(crate) async fn answers(&mut self, response: &[u8]) -> TestResult<Answer> {
        let ask = self.ann_asks("why?", response).await?;
        self.both_hear(ask).await
    }

    /// Waits for an answer at both, and compares what they were shown.
    pub(crate) async fn both_hear(&mut self, ask: Seq) -> TestResult<Answer> {
        let at_ann = self.ann.is_answered(self.room, ask).await?;
        let at_bob = self.bob.is_answered(self.room, ask).await?;
        assert_eq!(at_ann, at_bob);
        assert_eq!(self.bob.answers_to(self.room, ask).await?, [at_bob]);
        Ok(at_ann)
    }
}

/// The plain way: the question goes out with what was shown and nothing else, the answer comes with
/// what it took, for the asker and for another member.
#[tokio::test]
async fn a_question_is_answered_for_everybody() -> TestResult {
    let mut house = House::opens().await?;
    let (room, bob) = (house.room, &mut house.bob);
    bob.says(room, "never shown").await?;
    let shown = bob.says(room, "the drawbridge is stuck").await?;
    house.ann.hears(room).await?;
    house.ann.hears(room).await?;

    let envelope = house.ann.looks(room, "is it open?").await?;
    let card = envelope.card.ok_or("nobody knows where questions go")?;
    assert_eq!(card.provider, house.model.address().to_string());
    assert_eq!((card.model.as_str(), card.is_local), ("some-model", true));

    let ask = house.ann.asks_with(room, "is it open?", &[shown], |_| {}).await?;
    let mut call = within(house.model.next_call()).await;
    let asked = call.body.to_string();
    assert!(asked.contains("> the drawbridge is stuck") && asked.contains("is it open?"));
    assert!(asked.contains("@bob") && asked.contains("@ann asks"), "{asked}");
    assert!(!asked.contains("never shown"), "{asked}");
    call.sends(&until_closed(&answer(&["It ", "is ", "stuck."], 30, 3))).await;

    let heard = house.both_hear(ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "It is stuck."));
    assert_eq!((heard.cause.as_str(), heard.usage), ("", Some(counted(30, 3))));
    assert_eq!((heard.model.as_str(), &heard.provider), ("m-1", &card.provider));

    let Done::Answers(stored) = house.bob.does(Command::Answers { room: Some(room) }).await? else {
        return Err("no answers".into());
    };
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].handle.as_str(), &stored[0].answer), ("ann", &heard));
    // Everybody sees what an assistant was shown, and what not.
    let marked: Vec<bool> =
        house.bob.timeline(room).await?.iter().map(|entry| entry.is_shown).collect();
    assert_eq!(marked.iter().filter(|is_shown| **is_shown).count(), 2, "{marked:?}");
    assert!(house.model.was_left_alone());
    Ok(())
}

/// Whatever goes wrong at the model's server is said, once, with what had come before.
#[tokio::test]
async fn what_goes_wrong_is_said_and_what_came_is_kept() -> TestResult {
    use Outcome::{Interrupted, Refused};
    let mut house = House::opens().await?;
    let host = house.model.address().to_string();
    let wait = sized(
        "429 Too Many Requests",
        "Retry-After: 20\r\n",
        "{\"error\":{\"message\":\"slow down\"}}",
    );
    let oops = sized("500 Oops", "", "{\"error\":{\"code\":500,\"message\":\"out of memory\"}}");
    let late = sized(
        "200 OK",
        "Content-Type: application/json\r\n",
        "{\"error\":{\"message\":\"no luck\"}}",
    );
    let amid = format!(
        "{}{}",
        delta("Half"),
        "data: {\"error\":{\"message\":\"gave\\u001b[2J up\",\"code\":null}}\n\n"
    );
    let whole = until_closed(&answer(&["Grüße", " an alle."], 4, 5));
    let at = |part: &str| find(&whole, part);
    // Before anything, within a character, after a piece, before it said why it ends.
    let cut = |n: usize| whole[..n].to_vec();
    let moved = sized("307 Temporary Redirect", "Location: http://127.0.0.1:9/v1\r\n", "");
    for (response, outcome, text, cause) in [
        (wait, Refused, "", "too many requests (HTTP 429): slow down; it asks to wait 20 s"),
        (oops, Refused, "", "failed (HTTP 500): out of memory"),
        (late, Refused, "", "reports an error: no luck"),
        (until_closed(&amid), Interrupted, "Half", "reports an error: gave [2J up"),
        (moved, Refused, "", "points elsewhere"),
        (Vec::new(), Refused, "", ""),
        (cut(at("\r\n\r\n")), Refused, "", ""),
        (cut(at("Grü") - 1), Refused, "", ""),
        (cut(at("chunk\"}\n\n") + 20), Interrupted, "Grüße", ""),
        (cut(at("an alle.")), Interrupted, "Grüße", ""),
        (cut(at("\"delta\":{},")), Interrupted, "Grüße an alle.", ""),
    ] {
        let shown = String::from_utf8_lossy(&response).into_owned();
        let heard = house.answers(&response).await?;
        assert_eq!(
            (heard.outcome, heard.text.as_str()),
            (outcome, text),
            "{}\n{shown}",
            heard.cause
        );
        assert!(heard.cause.contains(cause) && !heard.cause.is_empty(), "{}\n{shown}", heard.cause);
        assert!(
            heard.cause.contains(&host) || heard.cause.contains("the model's server"),
            "{}",
            heard.cause
        );
        assert!(!heard.cause.chars().any(char::is_control), "{:?}", heard.cause);
        assert_eq!(heard.usage.is_some(), outcome == Interrupted, "{shown}");
    }
    // What it took is not known yet, but it is whole: the model said why it ends.
    let heard = house.answers(&cut(at("data: {\"choices\":[],\"usage\""))).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "Grüße an alle."));
    assert!(heard.usage.is_some_and(|usage| usage.is_estimated));
    assert!(house.model.was_left_alone(), "nothing was asked twice");
    Ok(())
}

fn find(whole: &[u8], part: &str) -> usize {
    let part = part.as_bytes();
    whole.windows(part.len()).position(|window| window == part).unwrap() + part.len()
}

/// A server that says nothing, or falls silent, is given up on; one that drips is not.
#[tokio::test]
async fn silence_is_given_up_on_and_patience_rewarded() -> TestResult {
    let more = "first_byte_timeout = \"1s\"\nidle_timeout = \"1s\"";
    let mut house = House::opens_with(more).await?;
    for (sent, outcome, text) in [
        (Vec::new(), Outcome::Refused, ""),
        (until_closed(&delta("Well,")), Outcome::Interrupted, "Well,"),
    ] {
        let ask = house.ann.asks(house.room, "why?").await?;
        let mut call = within(house.model.next_call()).await;
        call.sends(&sent).await;
        within(call.is_hung_up_on()).await;
        let heard = house.both_hear(ask).await?;
        assert_eq!((heard.outcome, heard.text.as_str()), (outcome, text));
        assert!(heard.cause.ends_with("sent nothing for 1 s"), "{}", heard.cause);
    }
    let ask = house.ann.asks(house.room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    call.drips(&chunked(&answer(&["Grüße", " 😀"], 4, 2), 5)).await;
    let heard = house.both_hear(ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "Grüße 😀"));
    assert_eq!(heard.usage, Some(counted(4, 2)));
    Ok(())
}

/// Ten thousand tokens are one entry, whole, whether they come in pieces or at once; what is longer
/// than a message holds is cut off and says so.
#[tokio::test]
async fn a_long_answer_is_one_entry_and_a_longer_one_says_that_it_is_cut() -> TestResult {
    let mut house = House::opens().await?;
    let words: Vec<String> = (0..10_000).map(|n| format!("w{n} ")).collect();
    let pieces: Vec<&str> = words.iter().map(String::as_str).collect();
    let heard = house.answers(&chunked(&answer(&pieces, 20, 10_000), 1_400)).await?;
    assert_eq!((heard.outcome, &heard.text), (Outcome::Complete, &words.concat()));
    assert_eq!(heard.usage, Some(counted(20, 10_000)));

    let longer = "é".repeat(40_000);
    let at_once = serde_json::json!({
        "model": "m-1",
        "choices": [{"message": {"content": longer}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    });
    let at_once = sized("200 OK", "Content-Type: application/json\r\n", &at_once.to_string());
    for response in [at_once, until_closed(&answer(&[&longer], 1, 2))] {
        let heard = house.answers(&response).await?;
        assert_eq!(heard.outcome, Outcome::CutOff);
        assert!(longer.starts_with(&heard.text) && heard.text.len() > 50_000);
        assert!(heard.cause.contains("longer than a message holds"), "{}", heard.cause);
    }
    Ok(())
}

/// In an open room the assistant is asked like in a sealed one; there nothing is sealed to it.
#[tokio::test]
async fn an_open_room_has_its_assistant_too() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.ann.makes("plaza", &[], |room| room.is_open = true).await?;
    house.bob.does(Command::JoinRoom(room)).await?;
    house.ann.does(Command::Add { room, people: vec![mathia()] }).await?;
    house.bob.knows(room).await?;
    house.room = room;
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    call.sends(&until_closed(&delta("So "))).await;
    for person in [&mut house.ann, &mut house.bob] {
        person.watches(ask, |view| view.text == "So ").await?;
    }
    call.sends(delta("it is.").as_bytes()).await;
    call.sends(ending("stop", 4, 2).as_bytes()).await;
    let heard = house.both_hear(ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "So it is."));
    assert_eq!(heard.usage, Some(counted(4, 2)));
    let entries = house.bob.timeline(room).await?;
    assert!(entries.iter().all(|entry| entry.sealed == SealedBy::Open));
    Ok(())
}

/// Bytes that would play with a terminal are in the log as the model sent them.
#[tokio::test]
async fn what_a_model_says_is_kept_to_the_byte() -> TestResult {
    let mut house = House::opens().await?;
    let nasty = "a\u{1b}[31m\u{202e}b\u{9b}2J\u{7}\0\r\nc\u{feff}";
    let heard = house.answers(&until_closed(&answer(&[nasty], 1, 1))).await?;
    assert_eq!(heard.text, nasty);
    Ok(())
}

/// Nobody listens where the model should be: that is said within five seconds, and the next question
/// is answered as soon as somebody does.
#[tokio::test]
async fn without_a_model_the_cause_comes_within_five_seconds() -> TestResult {
    // Bound and not listening: nobody else can take the port, and every connection is refused.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let url = format!("http://{}/v1", socket.local_addr()?);
    let town = Town::start()?;
    let _agent = Agent::joins(&town, &settings(&url, "")).await?;
    let mut ann = town.newcomer("ann").await?;
    let room = ann.makes("team", &[], |room| room.people = vec![mathia()]).await?;
    let begun = tokio::time::Instant::now();
    let ask = ann.asks(room, "why?").await?;
    let heard = ann.is_answered(room, ask).await?;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((heard.outcome, heard.text.as_str(), heard.usage), (Outcome::Refused, "", None));
    assert!(heard.cause.contains("refuses connections"), "{}", heard.cause);

    let mut model = ModelServer::on(socket.listen(16)?);
    let again = ann.asks_with(room, "why?", &[], |new| new.again = Some(ask)).await?;
    let mut call = within(model.next_call()).await;
    call.sends(&until_closed(&format!(
        "{}{}",
        event(&serde_json::json!({"choices": []})),
        answer(&["So."], 1, 1)
    )))
    .await;
    assert_eq!(ann.is_answered(room, again).await?.text, "So.");
    call.sends(ending("stop", 0, 0).as_bytes()).await;
    Ok(())
}
