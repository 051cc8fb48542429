//! The way to a model's server: HTTP/1.1, one connection for each question.
//!
//! No redirects (they would carry a question and a key to a place nobody chose), no proxies (behind
//! one, the addresses that are called cannot be judged), no cookies, no compression, no limit on
//! the whole time: an answer may take minutes as long as something comes.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Trouble;
use super::guard::{GuardedResolver, NotAllowed};
use super::words::{Cleaner, RemoteWords};
use crate::limits::{
    AFTER_FINISH_TIMEOUT, REFUSAL_BODY_LEN_MAX, REFUSAL_BODY_TIMEOUT, REFUSED_PAUSE,
};
use crate::model_address::BaseUrl;

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// To a connection, name and encryption included.
    pub connect: Duration,
    /// From the request to the first byte of the body.
    pub first_byte: Duration,
    /// Between two bytes of the body.
    pub idle: Duration,
}

/// Calls one server.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    host: String,
    waits: Waits,
}

/// A response, its head read and its body on the way. Dropping it closes the connection.
#[derive(Debug)]
pub struct Upstream {
    response: Response,
    host: String,
    waits: Waits,
    /// Until when the first byte must be there; afterwards each byte has its own time.
    first_byte_by: Option<Instant>,
    /// Until when the rest of a finished answer must be there.
    finished_by: Option<Instant>,
}

impl HttpClient {
    /// Makes the client for one server.
    ///
    /// # Errors
    ///
    /// When an encrypted connection is wanted and the system has no certificates to judge by.
    pub fn new(url: &BaseUrl, allow_private: bool, waits: Waits) -> reqwest::Result<Self> {
        let mut builder = Client::builder()
            .user_agent(concat!("mathia/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            // A kept connection could outlive the question that it was made for.
            .pool_max_idle_per_host(0)
            .connect_timeout(waits.connect)
            .dns_resolver(GuardedResolver { allow_private });
        if !url.is_encrypted() {
            // The system's certificates are not read where they are of no use: there may be none.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, host: url.host(), waits })
    }

    /// Asks. When nobody listens, once more after a pause: servers of models are restarted.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when there is no head of a response; no status is an error here.
    pub async fn post(
        &self,
        url: &Url,
        bearer: Option<HeaderValue>,
        body: String,
    ) -> Result<Upstream, Trouble> {
        let body = Bytes::from(body);
        match self.try_post(url, bearer.clone(), body.clone()).await {
            Err(Trouble::Refused { host }) => {
                tracing::debug!(host, "nobody listens; once more in a moment");
                sleep(REFUSED_PAUSE).await;
                self.try_post(url, bearer, body).await
            }
            outcome => outcome,
        }
    }

    async fn try_post(
        &self,
        url: &Url,
        bearer: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Upstream, Trouble> {
        let first_byte_by = Instant::now() + self.waits.first_byte;
        let mut request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(body);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = match timeout_at(first_byte_by, request.send()).await {
            Ok(sent) => sent.map_err(|error| self.trouble(&error))?,
            Err(_) => return Err(silent(&self.host, self.waits.first_byte)),
        };
        Ok(Upstream {
            response,
            host: self.host.clone(),
            waits: self.waits,
            first_byte_by: Some(first_byte_by),
            finished_by: None,
        })
    }

    /// What an error of the HTTP client means. Its own text, which holds the URL, is not used.
    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        let host = self.host.clone();
        if causes(error).any(<dyn Error>::is::<NotAllowed>) {
            return Trouble::Forbidden { host };
        }
        if !error.is_connect() {
            return Trouble::NoAnswer;
        }
        if let Some(reason) = tls_reason(error) {
            return Trouble::Insecure { host, reason };
        }
        if error.is_dns() {
            return Trouble::Unresolved { host };
        }
        let kind = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        match kind.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => Trouble::Refused { host },
            Some(kind) if !error.is_timeout() => {
                Trouble::Unreachable { host, reason: reason(&kind.to_string()) }
            }
            _ => {
                let waited = self.waits.connect.as_secs_f32();
                Trouble::Unreachable { host, reason: reason(&format!("no reply for {waited} s")) }
            }
        }
    }
}

impl Upstream {
    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whether the status promises an answer.
    pub fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes of the body, none at its end. `has_ended` tells that the answer is complete:
    /// what may still come is worth a short wait only.
    ///
    /// # Errors
    ///
    /// [`Trouble::Silent`] when nothing comes in time, [`Trouble::Truncated`] when the connection
    /// breaks.
    pub async fn next(&mut self, has_ended: bool) -> Result<Option<Bytes>, Trouble> {
        let now = Instant::now();
        let (by, waited) = match self.first_byte_by {
            Some(by) => (by, self.waits.first_byte),
            None => (now + self.waits.idle, self.waits.idle),
        };
        let by = if has_ended {
            by.min(*self.finished_by.get_or_insert(now + AFTER_FINISH_TIMEOUT))
        } else {
            by
        };
        match timeout_at(by, self.response.chunk()).await {
            Ok(Ok(bytes)) => {
                self.first_byte_by = None;
                Ok(bytes)
            }
            Ok(Err(_)) => Err(Trouble::Truncated),
            Err(_) => Err(silent(&self.host, waited)),
        }
    }

    /// The body of a refusal, as much of it as comes soon.
    pub async fn refusal_body(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(bytes)) = self.response.chunk().await {
                let room = REFUSAL_BODY_LEN_MAX - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if body.len() == REFUSAL_BODY_LEN_MAX {
                    break;
                }
            }
        };
        // What has come by then is what there is.
        drop(timeout(REFUSAL_BODY_TIMEOUT, read).await);
        body
    }
}

fn silent(host: &str, waited: Duration) -> Trouble {
    Trouble::Silent { host: host.to_owned(), waited }
}

/// An error and all that is behind it. What an I/O error carries is not its source, so it is looked
/// for in there as well.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        carried.map(|carried| carried as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// Why an encrypted connection failed, if that is what happened.
fn tls_reason(error: &reqwest::Error) -> Option<RemoteWords> {
    use rustls::CertificateError as Bad;
    use rustls::Error as TlsError;
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<TlsError>())?;
    Some(match tls {
        TlsError::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            reason("its certificate is for another name")
        }
        TlsError::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            reason("its certificate has expired")
        }
        TlsError::InvalidCertificate(_) => reason("this machine does not trust its certificate"),
        TlsError::InvalidMessage(_) => reason("it does not speak TLS there; is it http://?"),
        other => reason(&other.to_string()),
    })
}

fn reason(text: &str) -> RemoteWords {
    Cleaner::default().words(text).unwrap_or_else(RemoteWords::unknown)
}
