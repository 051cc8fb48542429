//! The address of a model's server, parsed once, and whether it is on the Internet.
//!
//! Pure: resolves no name and opens no connection.

mod ranges;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use ranges::{is_plainly_private, is_public};
use reqwest::Url;

/// The base address of an API: http or https, a host, a path; no password, no query.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no such address. The text itself is never repeated: it might hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an absolute address, or of another scheme.
    #[error("must begin with http:// or https:// and name a host")]
    NotHttp,
    /// Holds a user name or a password.
    #[error("must hold no user name or password: an API key goes into key_file")]
    Userinfo,
    /// Has a query or a fragment.
    #[error("must end with its path, without ? or #")]
    Query,
    /// Names the method as well.
    #[error("must end before /chat/completions, which is added")]
    TooFar,
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text.trim()).map_err(|_| UrlError::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(UrlError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Userinfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Query);
        }
        if url.path().trim_end_matches('/').ends_with("/chat/completions") {
            return Err(UrlError::TooFar);
        }
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// The address of one method below this one.
    pub fn method(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The host for people, with the port where it is not the usual one.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The address, if the host is one rather than a name. The parser has brought odd spellings
    /// (`0x7f.1`, `2130706433`) into the usual form by then.
    pub fn literal(&self) -> Option<IpAddr> {
        let host = self.0.host_str()?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether the host is a name that always means this machine.
    pub fn is_localhost(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_end_matches('.');
        host == "localhost" || host.ends_with(".localhost")
    }

    /// Whether what is sent is encrypted on its way.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether nothing that is sent there leaves this machine.
    pub fn is_local(&self) -> bool {
        self.is_localhost() || self.literal().is_some_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_method_follows_the_path_whether_or_not_it_ends_with_a_slash() {
        for base in ["http://a.example:8080/v1", "http://a.example:8080/v1/"] {
            let method = url(base).method("chat/completions");
            assert_eq!(method.as_str(), "http://a.example:8080/v1/chat/completions");
        }
        assert_eq!(url("https://a.example").method("x").as_str(), "https://a.example/x");
    }

    #[test]
    fn odd_spellings_of_an_address_are_seen_through() {
        for text in ["http://127.0.0.1/v1", "http://2130706433/", "http://0x7f.1/", "http://127.1."]
        {
            assert!(url(text).is_local(), "{text}");
            assert!(url(text).literal().is_some(), "{text}");
        }
        assert!(url("http://[::ffff:127.0.0.1]/").is_local());
        assert!(url("http://LocalHost./v1").is_local());
        assert!(!url("http://localhost.example.org/v1").is_local());
    }

    #[test]
    fn the_host_has_a_port_where_it_is_not_the_usual_one() {
        assert_eq!(url("https://a.example:443/v1").host(), "a.example");
        assert_eq!(url("http://[::1]:11434/v1").host(), "[::1]:11434");
    }

    #[test]
    fn what_is_no_base_address_is_refused() {
        for (text, error) in [
            ("a.example/v1", UrlError::NotHttp),
            ("ftp://a.example/", UrlError::NotHttp),
            ("https://key@a.example/v1", UrlError::Userinfo),
            ("https://a.example/v1?key=1", UrlError::Query),
            ("https://a.example/v1/chat/completions", UrlError::TooFar),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(error), "{text}");
        }
    }
}
