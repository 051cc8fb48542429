//! A scripted server of a model: raw HTTP over loopback, as good or as bad as a test wants it.
//!
//! A test either takes each call itself ([`ModelServer::next_call`]) and decides byte by byte, or
//! has all calls answered alike ([`ModelServer::answering`]). What was asked is kept for it.

pub(crate) mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Everything that a test waits for is there by then, or the test has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// The longest request a test sends.
const REQUEST_LEN_MAX: usize = 4 * 1024 * 1024;
/// Calls that may wait to be looked at.
const CALLS_MAX: usize = 1_024;

/// Waits for something, and fails the test when it does not come.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("came too late")
}

/// A server that waits for its test to answer.
pub(crate) struct ModelServer {
    address: SocketAddr,
    calls: mpsc::Receiver<Call>,
    task: tokio::task::JoinHandle<()>,
}

/// One request, read, with its connection to answer on.
pub(crate) struct Call {
    /// The request line and the headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Value,
    stream: TcpStream,
}

impl ModelServer {
    /// Listens on a port of its own.
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Answers on a listener that the test made.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (given, calls) = mpsc::channel(CALLS_MAX);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                // Somebody who only looks in is no call.
                if let Some(call) = Call::read(stream).await
                    && given.send(call).await.is_err()
                {
                    return;
                }
            }
        });
        Self { address, calls, task }
    }

    /// Answers every call with the same bytes and closes; tells what was asked.
    pub(crate) async fn answering(response: Vec<u8>) -> (String, mpsc::Receiver<Value>) {
        let mut server = Self::start().await;
        let url = server.base_url();
        let (asked, questions) = mpsc::channel(CALLS_MAX);
        tokio::spawn(async move {
            loop {
                let mut call = server.next_call().await;
                call.sends(&response).await;
                if asked.send(call.body.take()).await.is_err() {
                    return;
                }
            }
        });
        (url, questions)
    }

    /// What `base_url` names it.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request.
    pub(crate) async fn next_call(&mut self) -> Call {
        self.calls.recv().await.expect("the server has ended")
    }

    /// Whether nobody has called since the last look.
    pub(crate) fn was_left_alone(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Call {
    /// Reads one request; `None` when the peer leaves before it is whole.
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_len = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            more(&mut stream, &mut bytes).await?;
        };
        let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
        let body_len: usize = header_of(&head, "content-length").map_or(0, |v| v.parse().unwrap());
        while bytes.len() < head_len + body_len {
            more(&mut stream, &mut bytes).await?;
        }
        let body = serde_json::from_slice(&bytes[head_len..]).unwrap_or(Value::Null);
        Some(Self { head, body, stream })
    }

    /// A header of the request, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_of(&self.head, name)
    }

    /// Sends bytes; a peer that has left is none of its business.
    pub(crate) async fn sends(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    /// Sends bytes one at a time, each in a packet of its own.
    pub(crate) async fn drips(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sends(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Sends the same bytes until the peer hangs up.
    pub(crate) async fn sends_without_end(&mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).await.is_ok() {}
    }

    /// Ends the connection the hard way: what was sent may be lost, and the peer sees a reset.
    pub(crate) fn breaks(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Waits until the peer has closed the connection.
    pub(crate) async fn is_hung_up_on(&mut self) {
        let mut byte = [0];
        // A closed or a broken connection: both end the wait.
        while matches!(self.stream.read(&mut byte).await, Ok(1)) {}
    }
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    assert!(bytes.len() < REQUEST_LEN_MAX, "a request without an end");
    (stream.read_buf(bytes).await.ok()? > 0).then_some(())
}

fn header_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The scripted server itself, spoken to by a bare socket: what it is told to do, it does.
mod tests {
    use super::*;

    async fn asks(server: &ModelServer) -> TcpStream {
        let mut peer = TcpStream::connect(server.address()).await.unwrap();
        peer.write_all(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
            .await
            .unwrap();
        peer
    }

    #[tokio::test]
    async fn a_scripted_server_keeps_to_its_script() {
        let mut server = ModelServer::on(TcpListener::bind("127.0.0.1:0").await.unwrap());
        assert_eq!(server.base_url(), format!("http://{}/v1", server.address()));
        assert!(server.was_left_alone());
        let mut peer = asks(&server).await;
        let mut call = within(server.next_call()).await;
        assert_eq!((call.header("HOST"), &call.body), (Some("h"), &serde_json::json!({})));
        assert!(call.head.starts_with("POST /v1/x"));
        call.drips(b"slow, ").await;
        call.sends(b"fast").await;
        drop(call);
        let mut heard = String::new();
        within(peer.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, "slow, fast");

        let mut peer = asks(&server).await;
        within(server.next_call()).await.breaks();
        assert!(within(peer.read_to_string(&mut heard)).await.is_err());

        let peer = asks(&server).await;
        let mut call = within(server.next_call()).await;
        drop(peer);
        within(call.is_hung_up_on()).await;
        within(call.sends_without_end(b"more")).await;
    }

    #[tokio::test]
    async fn a_server_may_answer_all_alike() {
        let body = format!("{}{}", wire::delta("a"), wire::ending("stop", 1, 1));
        assert_eq!(body, wire::answer(&["a"], 1, 1));
        let response = wire::chunked(&body, 10);
        let (url, mut questions) = ModelServer::answering(response.clone()).await;
        let address = url.trim_start_matches("http://").trim_end_matches("/v1");
        for _ in 0..2 {
            let mut peer = TcpStream::connect(address).await.unwrap();
            peer.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut heard = Vec::new();
            within(peer.read_to_end(&mut heard)).await.unwrap();
            assert_eq!(heard, response);
            within(questions.recv()).await.unwrap();
        }
        assert!(wire::until_closed(&body).ends_with(body.as_bytes()));
        assert!(
            wire::sized("200 OK", "X: y\r\n", "ab")
                .ends_with(b"X: y\r\nContent-Length: 2\r\n\r\nab")
        );
        assert_eq!(wire::event(&Value::Null), "data: null\n\n");
    }
}
