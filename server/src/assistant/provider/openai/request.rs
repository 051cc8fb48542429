//! The body of a request for a chat completion.

use serde_json::{Value, json};

use crate::assistant::provider::prompt::{Line, Role};
use crate::config::MaxTokensField;

/// What every question to one server has in common.
#[derive(Debug, Clone)]
pub struct RequestTerms {
    /// The model.
    pub model: String,
    /// The most tokens of an answer.
    pub max_output_tokens: u32,
    /// What the server calls that limit.
    pub max_tokens_field: MaxTokensField,
}

/// The body, streamed, with usage at the end. No tools are offered.
pub fn body(terms: &RequestTerms, conversation: &[Line]) -> Value {
    let messages: Vec<Value> = conversation
        .iter()
        .map(|line| json!({ "role": role(line.role), "content": line.text }))
        .collect();
    let mut body = json!({
        "model": terms.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    body[terms.max_tokens_field.as_str()] = json!(terms.max_output_tokens);
    body
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Asker => "user",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_what_such_servers_expect() {
        let mut terms = RequestTerms {
            model: "m".into(),
            max_output_tokens: 64,
            max_tokens_field: MaxTokensField::MaxTokens,
        };
        let conversation = [
            Line { role: Role::System, text: "Be brief.".into() },
            Line { role: Role::Asker, text: "StopReason?".into() },
        ];
        let mut expected = json!({
            "model": "m",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "StopReason?" },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 64,
        });
        assert_eq!(body(&terms, &conversation), expected);

        terms.max_tokens_field = MaxTokensField::MaxCompletionTokens;
        let limit = expected.as_object_mut().unwrap().remove("max_tokens").unwrap();
        expected["max_completion_tokens"] = limit;
        assert_eq!(body(&terms, &conversation), expected);
    }
}
