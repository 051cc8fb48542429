//! Errors as servers report them: the body of a refusal, or an event where text should be.

use serde_json::Value;

use crate::assistant::provider::json;

/// The words of an error, if `value` is one: `Some(None)` for an error without words.
///
/// Known shapes: `{"error":{"message"}}` with a code of any kind, `{"error":"text"}`, a list with
/// such an object, `{"object":"error","message"}`, `{"type":"error",..}`, and without any choices
/// `{"detail":"text"}`, `{"detail":[{"msg"}]}`, `{"message":"text"}`.
pub fn error_in(value: &Value) -> Option<Option<String>> {
    if let Some(list) = value.as_array() {
        return list.iter().find_map(error_in);
    }
    let error = &value["error"];
    let is_error = match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    if is_error {
        return Some(words_in(error).or_else(|| words_in(value)));
    }
    if value["object"] == "error" || value["type"] == "error" {
        return Some(words_in(value));
    }
    // Nothing but a complaint, at servers that do not call it an error.
    let is_chunk = !value["choices"].is_null() || !value["usage"].is_null();
    let complains = ["message", "detail"].iter().any(|key| !value[*key].is_null());
    if complains && !is_chunk { words_in(value).map(Some) } else { None }
}

/// The words in the body of a refusal: those of the error it holds, or the body itself.
pub fn words_of_body(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    // Some servers answer a streaming request with one event, whatever its status.
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    let data = trimmed.strip_prefix("data:").map_or(trimmed, str::trim);
    match json::read(data) {
        Some(value) => error_in(&value).flatten(),
        // A body that was cut off in the middle of its JSON says nothing that can be read out.
        None if data.starts_with(['{', '[']) => None,
        None => Some(text.into_owned()),
    }
}

fn words_in(value: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().filter(|t| !t.trim().is_empty()).map(str::to_owned);
    text(value)
        .or_else(|| text(&value["message"]))
        .or_else(|| text(&value["detail"]))
        .or_else(|| text(&value["detail"][0]["msg"]))
        .or_else(|| text(&value["msg"]))
        .or_else(|| text(&value["code"]))
        .or_else(|| text(&value["type"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> Option<String> {
        words_of_body(body.as_bytes())
    }

    #[test]
    fn the_words_of_every_known_shape_are_found() {
        for body in [
            r#"{"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}}"#,
            r#"{"error":{"code":400,"message":"bad","type":"invalid_request_error"}}"#,
            r#"{"error":{"code":"bad"}}"#,
            r#"{"error":"bad"}"#,
            r#"[{"error":{"code":429,"message":"bad","status":"RESOURCE_EXHAUSTED"}}]"#,
            r#"{"object":"error","message":"bad","code":40303}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"bad"}}"#,
            r#"{"detail":"bad"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"bad"}]}"#,
            r#"{"message":"bad"}"#,
            "data: {\"error\":{\"message\":\"bad\"}}\n\n",
            "bad",
        ] {
            assert_eq!(words(body).as_deref(), Some("bad"), "{body}");
        }
    }

    #[test]
    fn errors_without_words_are_errors_all_the_same() {
        for body in [r#"{"error":{"code":500}}"#, r#"{"error":true}"#, r#"{"object":"error"}"#] {
            let value = serde_json::from_str(body).unwrap();
            assert!(error_in(&value).is_some(), "{body}");
        }
    }

    #[test]
    fn a_completion_is_no_error() {
        for body in [
            r#"{"choices":[],"message":"ok"}"#,
            r#"{"error":null,"choices":null}"#,
            r#"{"error":"","usage":{"total_tokens":1}}"#,
            r#"{"type":"ping"}"#,
            "{}",
            "[]",
            "null",
        ] {
            assert_eq!(error_in(&serde_json::from_str(body).unwrap()), None, "{body}");
        }
    }

    #[test]
    fn half_a_body_is_not_read_out() {
        assert_eq!(words(r#"{"error":{"mess"#), None);
        assert_eq!(words_of_body(b"\xff\xfe oops"), Some("\u{fffd}\u{fffd} oops".into()));
    }
}
