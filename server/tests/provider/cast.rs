//! Who asks, and what comes of it.

use std::time::Duration;

use mathia_protocol::id::TimeMs;
use mathia_server::assistant::provider::error::AnswerResult;
use mathia_server::assistant::provider::openai::OpenAi;
use mathia_server::assistant::provider::{Attached, Provider as _, Question, Usage};
use mathia_server::config::{AssistantSettings, ProviderKind};

use crate::model::within;

/// Settings for a model at this address, with times that a test can wait for.
pub(crate) fn settings(base_url: &str) -> AssistantSettings {
    AssistantSettings {
        provider: ProviderKind::OpenAi,
        base_url: Some(base_url.to_owned()),
        model: Some("some-model".to_owned()),
        allow_private: true,
        first_byte_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        ..AssistantSettings::default()
    }
}

/// The adapter for a model at this address.
pub(crate) fn openai(base_url: &str) -> OpenAi {
    OpenAi::new(&settings(base_url), None).unwrap()
}

/// A question with one message attached.
pub(crate) fn question() -> Question {
    Question {
        asker: "ann".parse().unwrap(),
        text: "Is the bridge open?".to_owned(),
        attached: vec![Attached {
            handle: "bob".parse().unwrap(),
            time: TimeMs(1_764_091_140_000),
            text: "The drawbridge is stuck.".to_owned(),
        }],
    }
}

/// Asks; what the sink heard must be what is returned, whatever comes of it.
pub(crate) async fn ask(provider: &OpenAi) -> AnswerResult {
    let question = question();
    let mut heard = String::new();
    let mut sink = |piece: &str| {
        assert!(!piece.is_empty());
        heard.push_str(piece);
    };
    let outcome = within(provider.answer(&question, &mut sink)).await;
    match &outcome {
        Ok(finished) => assert_eq!(heard, finished.text),
        Err(error) => assert_eq!(heard, error.arrived.text),
    }
    outcome
}

/// Counts that a server gave.
pub(crate) fn usage(prompt: u32, completion: u32) -> Usage {
    Usage { prompt, completion, total: prompt + completion, is_estimated: false }
}
