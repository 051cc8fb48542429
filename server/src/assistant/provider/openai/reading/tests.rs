//! Responses of many servers, cut at every byte.

use proptest::prelude::*;

use super::*;
use crate::assistant::provider::{FinishReason, Usage};
use crate::limits::{EVENT_LINE_LEN_MAX, PROVIDER_TEXT_LEN_MAX};

const ASKED: RequestFacts<'_> = RequestFacts { model: "configured", prompt_tokens: 40 };

/// One stream with most oddities: a byte order mark, comments, all line ends, `data:` without a
/// space, null content, reasoning, no choices, usage in every chunk, a torn surrogate pair, raw
/// control characters.
const STREAM: &str = "\u{feff}: connected\n\n\
    data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n\
    data:{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"let me see\"}}]}\r\n\r\n\
    : keep-alive\r\r\
    id: 1\nevent: message\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße \"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6}}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}],\"usage\":null}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"\u{1b}[1m\0\u{202e}😀\"}}]}\n\n\
    data: \n\ndata: ping\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9,\"total_tokens\":14}}\n\n\
    data: [DONE]\n\n";
const STREAM_TEXT: &str = "Grüße \u{fffd}\u{1b}[1m\0\u{202e}😀";
const STREAM_USAGE: Usage = Usage { prompt: 5, completion: 9, total: 14, is_estimated: false };

/// What comes of a response in some pieces, and what the sink heard, piece by piece.
fn read(pieces: &[&[u8]], trouble: Option<Trouble>) -> (AnswerResult, Vec<String>) {
    let mut heard = Vec::new();
    let mut sink = |text: &str| heard.push(text.to_owned());
    let mut reading = ResponseReader::new(Cleaner::default());
    let own = pieces.iter().find_map(|piece| reading.feed(piece, &mut sink).err());
    let outcome = reading.end(own.or(trouble), ASKED, &mut sink);
    (outcome, heard)
}

fn outcome(response: &str) -> AnswerResult {
    read(&[response.as_bytes()], None).0
}

fn pieces_at<'a>(whole: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let ends = cuts.iter().copied().chain([whole.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(from, to)| &whole[from..to]).collect()
}

#[test]
fn a_stream_with_every_oddity_is_understood() {
    let (outcome, heard) = read(&[STREAM.as_bytes()], None);
    let finished = outcome.unwrap();
    assert_eq!(finished.text, STREAM_TEXT);
    assert_eq!(finished.ending, FinishReason::Complete);
    assert_eq!(finished.model, "m-1");
    assert_eq!(finished.usage, STREAM_USAGE);
    assert_eq!(heard, ["Grüße ", "\u{fffd}", "\u{1b}[1m\0\u{202e}😀"]);
}

#[test]
fn broken_off_at_any_byte_it_is_whole_or_says_so_and_keeps_what_came() {
    let whole = STREAM.as_bytes();
    let finish = STREAM.find("\"stop\"}]}").unwrap() + "\"stop\"}]}".len();
    let usage = STREAM.find("\"total_tokens\":14}}").unwrap() + "\"total_tokens\":14}}".len();
    for n in 0..=whole.len() {
        for trouble in [None, Some(Trouble::Truncated)] {
            let (outcome, heard) = read(&[&whole[..n]], trouble);
            let heard = heard.concat();
            assert!(STREAM_TEXT.starts_with(&heard), "at {n}: {heard:?}");
            match outcome {
                // The model had said that it is done.
                Ok(finished) => {
                    assert!(finish <= n, "at {n}");
                    assert_eq!(finished.text, STREAM_TEXT);
                    assert_eq!(heard, STREAM_TEXT);
                    if usage <= n {
                        assert_eq!(finished.usage, STREAM_USAGE);
                    }
                }
                Err(error) => {
                    assert!(n < finish, "at {n}");
                    assert_eq!(error.arrived.text, heard);
                    let silent = heard.is_empty() && error.arrived.usage.is_none();
                    let expected = if silent { Trouble::NoAnswer } else { Trouble::Truncated };
                    assert_eq!(error.trouble, expected, "at {n}");
                }
            }
        }
    }
}

#[test]
fn a_document_broken_off_at_any_byte_is_no_answer() {
    let whole = r#"{"model":"m-1","choices":[{"message":{"content":"Grüße"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}"#;
    for n in 0..whole.len() {
        let (outcome, heard) = read(&[&whole.as_bytes()[..n]], None);
        assert_eq!(outcome.unwrap_err().trouble, Trouble::NoAnswer, "at {n}");
        assert!(heard.is_empty(), "at {n}");
    }
    for text in [whole.to_owned(), format!("\u{feff}\r\n {whole}\n")] {
        let finished = outcome(&text).unwrap();
        assert_eq!((finished.text.as_str(), finished.usage), ("Grüße", STREAM_USAGE));
    }
}

#[test]
fn the_end_of_a_stream_may_be_missing_a_line_end_or_the_end_mark() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}";
    for end in ["data: [DONE]", "data: [DONE]\n", "data:[DONE]\r\n\r\n", stop] {
        assert_eq!(outcome(&format!("{hi}{end}")).unwrap().text, "Hi", "{end:?}");
    }
    assert_eq!(outcome(hi).unwrap_err().trouble, Trouble::Truncated);
    assert_eq!(outcome(&format!("{hi}data: [DON")).unwrap_err().trouble, Trouble::Truncated);
}

#[test]
fn events_that_no_blank_line_parts_are_told_apart() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\ndata: [DONE]\n";
    assert_eq!(outcome(stream).unwrap().text, "ab");
}

#[test]
fn an_event_over_several_lines_is_one() {
    let stream =
        "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(outcome(stream).unwrap().text, "a");
}

#[test]
fn what_follows_the_end_of_a_stream_is_not_read() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: {broken\n\n";
    assert_eq!(outcome(stream).unwrap().text, "a");
}

#[test]
fn an_error_amid_the_stream_is_the_cause_and_keeps_what_came() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    for event in [
        "data: {\"error\":{\"message\":\"no memory\",\"code\":500}}\n\n",
        "data: {\"error\":\"no memory\"}\n\ndata: [DONE]\n\n",
        "error: {\"code\":500,\"message\":\"no memory\"}\n\n",
        "event: error\ndata: {\"message\":\"no memory\"}\n\n",
        "event: error\ndata: no memory\n\n",
        // Its last line end is missing.
        "data: {\"error\":{\"message\":\"no memory\"}}",
        "data: {\"object\":\"error\",\"message\":\"no memory\"}\n",
    ] {
        let error = outcome(&format!("{hi}{event}")).unwrap_err();
        assert_eq!(error.to_string(), "the model's server reports an error: no memory", "{event}");
        assert_eq!(error.arrived.text, "Hi");
    }
}

#[test]
fn what_is_no_completion_is_called_so() {
    for (response, trouble) in [
        ("", Trouble::NoAnswer),
        ("\r\n\r\n", Trouble::NoAnswer),
        (": only comments\n\n", Trouble::NoAnswer),
        ("<!doctype html><title>Welcome</title>", Trouble::Malformed),
        ("{}", Trouble::Malformed),
        ("[1]", Trouble::Malformed),
        ("{\"status\":\"ok\"}", Trouble::Malformed),
        ("data: {\"choices\":[{]}\n\ndata: [DONE]\n\n", Trouble::Malformed),
        ("data: [DONE]\n\n", Trouble::Empty),
        ("{\"choices\":[]}", Trouble::Empty),
    ] {
        assert_eq!(outcome(response).unwrap_err().trouble, trouble, "{response:?}");
    }
    let error = outcome("{\"error\":{\"message\":\"bad key\"}}").unwrap_err();
    assert_eq!(error.to_string(), "the model's server reports an error: bad key");
}

#[test]
fn invalid_utf8_is_replaced_and_breaks_nothing() {
    let stream =
        b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xff\xfeb\xc3\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(read(&[stream], None).0.unwrap().text, "a\u{fffd}\u{fffd}b\u{fffd}");
}

#[test]
fn a_server_that_does_not_end_is_cut_off() {
    let chunk = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(10_000)
    );
    let mut reading = ResponseReader::new(Cleaner::default());
    let mut n_fed = 0;
    while !reading.is_over() {
        reading.feed(chunk.as_bytes(), &mut |_: &str| ()).unwrap();
        n_fed += 1;
    }
    assert!(n_fed <= PROVIDER_TEXT_LEN_MAX / 10_000 + 1);
    let finished = reading.end(None, ASKED, &mut |_: &str| ()).unwrap();
    assert_eq!(
        (finished.text.len(), finished.ending),
        (PROVIDER_TEXT_LEN_MAX, FinishReason::CutOff)
    );
}

#[test]
fn floods_that_hold_no_text_are_refused() {
    let refused = |block: Vec<u8>| {
        let mut reading = ResponseReader::new(Cleaner::default());
        let n_blocks = ANSWER_STREAM_LEN_MAX / block.len() + 2;
        (0..n_blocks).find_map(|_| reading.feed(&block, &mut |_: &str| ()).err())
    };
    assert_eq!(refused(vec![b' '; 64 * 1024]), Some(Trouble::TooLong));
    assert_eq!(refused(vec![b'['; 64 * 1024]), Some(Trouble::TooLong));
    assert_eq!(refused(vec![b'x'; EVENT_LINE_LEN_MAX / 2]), Some(Trouble::TooLong));
    assert_eq!(refused(b": alive\n".repeat(8 * 1024)), Some(Trouble::TooLong));
}

proptest! {
    /// Where the network cuts the stream never changes what it says.
    #[test]
    fn cuts_are_invisible(mut cuts in prop::collection::vec(0..=STREAM.len(), 0..40)) {
        cuts.sort_unstable();
        let whole = STREAM.as_bytes();
        prop_assert_eq!(read(&pieces_at(whole, &cuts), None), read(&[whole], None));
    }

    /// Nor does it in a response that makes no sense.
    #[test]
    fn no_bytes_are_too_odd_to_be_read(
        events in prop::collection::vec("(data: ?|event: |)(\\{\"choices\":)?.{0,12}\r?\n{1,2}", 0..6),
        mut cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let whole = events.concat();
        cuts.retain(|cut| *cut <= whole.len());
        cuts.sort_unstable();
        let whole = whole.as_bytes();
        prop_assert_eq!(read(&pieces_at(whole, &cuts), None), read(&[whole], None));
    }
}
