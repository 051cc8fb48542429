//! What servers of models send: heads, chunks, events.

use serde_json::{Value, json};

/// The head of a streamed response whose body ends with the connection.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// One event.
pub(crate) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// An event with a piece of text.
pub(crate) fn delta(text: &str) -> String {
    event(&json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    }))
}

/// The events after the last piece of text: why it ends, what it took, that nothing follows.
pub(crate) fn ending(reason: &str, prompt: u32, completion: u32) -> String {
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }});
    format!("{}{}data: [DONE]\n\n", event(&finish), event(&usage))
}

/// A whole streamed answer.
pub(crate) fn answer(pieces: &[&str], prompt: u32, completion: u32) -> String {
    let deltas: String = pieces.iter().map(|piece| delta(piece)).collect();
    format!("{deltas}{}", ending("stop", prompt, completion))
}

/// A response whose body ends with the connection.
pub(crate) fn until_closed(body: &str) -> Vec<u8> {
    format!("{STREAM_HEAD}{body}").into_bytes()
}

/// A response in HTTP chunks of so many bytes.
pub(crate) fn chunked(body: &str, chunk_len: usize) -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for chunk in body.as_bytes().chunks(chunk_len) {
        response.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        response.extend_from_slice(chunk);
        response.extend_from_slice(b"\r\n");
    }
    response.extend_from_slice(b"0\r\n\r\n");
    response
}

/// A response of a known length with a status and more headers, each with its line end.
pub(crate) fn sized(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let n = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {n}\r\n\r\n{body}").into_bytes()
}
