//! A scripted model over loopback: speaks OpenAI's streamed chat completions, and says what it is
//! told when it is told.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The longest request that is read: the longest question, escaped, with what surrounds it.
const REQUEST_LEN_MAX: usize = 512 * 1024;
const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// A running model.
pub(crate) struct Model {
    address: SocketAddr,
}

/// One question's connection, to answer on. Dropped before the end, the answer breaks off.
pub(crate) struct Talk {
    stream: TcpStream,
}

impl Model {
    /// Starts a model that has each question, as it came, answered by `answer`.
    pub(crate) async fn start<F, Answering>(answer: F) -> io::Result<Self>
    where
        F: Fn(String, Talk) -> Answering + 'static,
        Answering: Future<Output = io::Result<()>> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answer = Rc::new(answer);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Rc::clone(&answer);
                tokio::task::spawn_local(async move {
                    // Whoever asked may be killed at any moment: that is none of the model's business.
                    drop(converse(stream, answer.as_ref()).await);
                });
            }
        });
        Ok(Self { address })
    }

    /// The section of a configuration that names it.
    pub(crate) fn section(&self) -> String {
        format!(
            "provider = \"openai\"\nbase_url = \"http://{}/v1\"\nmodel = \"scripted\"\n\
             allow_private = true\n",
            self.address
        )
    }
}

async fn converse<Answering>(
    mut stream: TcpStream,
    answer: &impl Fn(String, Talk) -> Answering,
) -> io::Result<()>
where
    Answering: Future<Output = io::Result<()>>,
{
    stream.set_nodelay(true)?;
    let question = read_request(&mut stream).await?;
    answer(question, Talk { stream }).await
}

/// Reads one request; returns its body.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_len]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body_len: usize = length.and_then(|value| value.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < head_len + body_len {
        more(stream, &mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes[head_len..]).into_owned())
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if bytes.len() >= REQUEST_LEN_MAX || stream.read_buf(bytes).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

impl Talk {
    /// Begins to stream.
    pub(crate) async fn begins(&mut self) -> io::Result<()> {
        self.stream.write_all(STREAM_HEAD.as_bytes()).await
    }

    /// Says a piece. Only plain text: nothing in it is escaped.
    pub(crate) async fn says(&mut self, text: &str) -> io::Result<()> {
        let event = format!(
            "data: {{\"model\":\"scripted\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        );
        self.stream.write_all(event.as_bytes()).await
    }

    /// Says that the answer is whole, and what it took.
    pub(crate) async fn ends(mut self) -> io::Result<()> {
        let events = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\
             \"total_tokens\":16}}\n\ndata: [DONE]\n\n";
        self.stream.write_all(events.as_bytes()).await?;
        self.stream.shutdown().await
    }

    /// Answers nothing but an error.
    pub(crate) async fn refuses(mut self) -> io::Result<()> {
        let body = "{\"error\":{\"message\":\"out of order\"}}";
        let response = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(response.as_bytes()).await?;
        self.stream.shutdown().await
    }
}
