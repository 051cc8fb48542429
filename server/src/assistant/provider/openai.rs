//! The OpenAI-compatible adapter: OpenAI itself, Ollama, llama.cpp, vLLM, LM Studio and many more.
//!
//! They agree on chat completions in the main and differ in every detail. [`request`] writes what
//! all of them take, [`chunk`] and [`reported`] read what any of them sends, [`answer`] makes an
//! answer of it, [`reading`] does so from bytes. Only this file talks to a server, through
//! [`super::http`].

pub mod answer;
pub mod chunk;
pub mod reading;
pub mod reported;
pub mod request;

use std::path::Path;

use jiff::Timestamp;
use reqwest::Url;

use self::answer::RequestFacts;
use self::reading::ResponseReader;
use self::request::RequestTerms;
use super::error::AnswerResult;
use super::guard::NotAllowed;
use super::http::{HttpClient, Upstream, Waits};
use super::key::ApiKey;
use super::words::Cleaner;
use super::{
    AnswerFuture, Provider, ProviderError, Question, SetupError, Sink, Source, Trouble, estimate,
    prompt, retry_after,
};
use crate::clock::{Clock as _, SystemClock};
use crate::config::AssistantSettings;
use crate::model_address::{BaseUrl, is_public};

/// A model behind a server that speaks OpenAI's chat completions.
#[derive(Debug)]
pub struct OpenAi {
    source: Source,
    endpoint: Url,
    terms: RequestTerms,
    instructions: String,
    key: Option<ApiKey>,
    http: HttpClient,
}

impl OpenAi {
    /// Makes the adapter; nobody is called yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when an address, a key or the system's certificates are not usable.
    pub fn new(
        settings: &AssistantSettings,
        credentials: Option<&Path>,
    ) -> Result<Self, SetupError> {
        let url: BaseUrl =
            settings.base_url.as_deref().ok_or(SetupError::Missing("base_url"))?.parse()?;
        let model = settings.model.clone().ok_or(SetupError::Missing("model"))?;
        if !settings.allow_private && url.literal().is_some_and(|ip| !is_public(ip)) {
            return Err(SetupError::Forbidden { host: url.host(), source: NotAllowed });
        }
        let key = ApiKey::load(settings.key_file.as_deref(), credentials)?;
        if !url.is_encrypted() && !settings.allow_private {
            tracing::warn!(host = url.host(), "questions travel unencrypted: base_url is http://");
        }
        let waits = Waits {
            connect: settings.connect_timeout,
            first_byte: settings.first_byte_timeout,
            idle: settings.idle_timeout,
        };
        Ok(Self {
            source: Source {
                provider: "openai",
                host: url.host(),
                model: model.clone(),
                is_local: url.is_local(),
            },
            endpoint: url.method("chat/completions"),
            terms: RequestTerms {
                model,
                max_output_tokens: settings.max_output_tokens,
                max_tokens_field: settings.max_tokens_field,
            },
            instructions: prompt::instructions(settings.system_prompt.as_deref()),
            key,
            http: HttpClient::new(&url, settings.allow_private, waits)
                .map_err(SetupError::Client)?,
        })
    }

    async fn ask(&self, question: &Question, sink: &mut dyn Sink) -> AnswerResult {
        let conversation = prompt::conversation(&self.instructions, question);
        let text_lens = conversation.iter().map(|line| line.text.len());
        let asked = RequestFacts {
            model: &self.terms.model,
            prompt_tokens: estimate::prompt_tokens(text_lens),
        };
        let body = request::body(&self.terms, &conversation).to_string();
        let bearer = self.key.as_ref().and_then(ApiKey::bearer);
        let mut upstream =
            self.http.post(&self.endpoint, bearer, body).await.map_err(ProviderError::at_once)?;
        if !upstream.is_success() {
            return Err(self.refusal(upstream).await);
        }
        let mut reading = ResponseReader::new(self.cleaner());
        let trouble = loop {
            match upstream.next(reading.has_ended()).await {
                Ok(Some(bytes)) => {
                    if let Err(trouble) = reading.feed(&bytes, sink) {
                        break Some(trouble);
                    }
                }
                Ok(None) => break None,
                Err(trouble) => break Some(trouble),
            }
            if reading.is_over() {
                break None;
            }
        };
        reading.end(trouble, asked, sink)
    }

    /// What a status other than success means, in the server's words where it has any.
    async fn refusal(&self, upstream: Upstream) -> ProviderError {
        let status = upstream.status();
        let now = i64::try_from(SystemClock.now_ms().0).unwrap_or(i64::MAX);
        let now = Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX);
        let retry_after = retry_after::read(upstream.headers(), now);
        let body = upstream.refusal_body().await;
        let words = reported::words_of_body(&body).and_then(|text| self.cleaner().words(&text));
        let trouble = Trouble::Status { host: self.source.host.clone(), status, words };
        ProviderError { retry_after, ..ProviderError::at_once(trouble) }
    }

    fn cleaner(&self) -> Cleaner<'_> {
        Cleaner::new(self.key.as_ref())
    }
}

impl Provider for OpenAi {
    fn source(&self) -> &Source {
        &self.source
    }

    fn answer<'a>(&'a self, question: &'a Question, sink: &'a mut dyn Sink) -> AnswerFuture<'a> {
        Box::pin(self.ask(question, sink))
    }
}
