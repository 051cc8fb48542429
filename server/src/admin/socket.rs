//! The operator's socket: one JSON line asks, one JSON line answers, on a 0600 unix socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest line either way: a list of all accounts of a large server.
const LINE_LEN_MAX: u64 = 16 * 1024 * 1024;
/// An exchange takes at most this long; a backup of a large database may take minutes.
const EXCHANGE_TIMEOUT: Duration = Duration::from_mins(10);

/// What an operator asks of a running server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum AdminRequest {
    /// Makes an invite.
    Invite {
        /// How many may use it.
        uses: u32,
        /// How long it lives.
        lifetime_s: u64,
        /// Names of open rooms it grants.
        rooms: Vec<String>,
    },
    /// Lists live invites.
    InviteList,
    /// Ends an invite.
    InviteRevoke {
        /// A unique beginning of its identifier.
        id: String,
    },
    /// Lists accounts.
    UserList,
    /// Ends an account's right to log in.
    UserRemove {
        /// Its handle.
        name: String,
    },
    /// Gives every open room a new key at rest.
    RotateKeys,
    /// Writes a verified copy.
    Backup {
        /// To which file.
        file: std::path::PathBuf,
    },
    /// How is it going.
    Status,
    /// Do writer and readers answer.
    Ping,
}

/// How a running server answers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminReply {
    /// Objects to print, one per line.
    Lines(Vec<serde_json::Value>),
    /// It did not work: what happened, and what to do.
    Failed {
        /// The exit code that fits.
        code: u8,
        /// What happened.
        error: String,
        /// What to do, possibly empty.
        hint: String,
    },
}

impl std::fmt::Debug for AdminReply {
    // Lines may hold a fresh invite, which is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lines(lines) => write!(f, "Lines({})", lines.len()),
            Self::Failed { code, error, .. } => write!(f, "Failed({code}, {error})"),
        }
    }
}

/// Binds the socket with mode 0600, replacing one a dead server left behind. The caller holds the
/// data directory's lock, so no living server can be behind the old one.
///
/// # Errors
///
/// When the path cannot be bound.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let subscriber = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(subscriber)
}

/// Reads one request from a connection; `None` if it makes no sense.
pub async fn read_request(stream: &mut UnixStream) -> Option<AdminRequest> {
    let line = tokio::time::timeout(Duration::from_secs(5), read_line(stream)).await.ok()?.ok()?;
    serde_json::from_str(&line).ok()
}

/// Writes the answer.
///
/// # Errors
///
/// When the operator has gone.
pub async fn write_reply(stream: &mut UnixStream, reply: &AdminReply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.shutdown().await
}

/// Asks a running server; `Ok(None)` if none is running behind the socket.
///
/// # Errors
///
/// When the server is there but does not answer.
pub async fn ask(path: &Path, request: &AdminRequest) -> io::Result<Option<AdminReply>> {
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let exchange = async {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let answer = read_line(&mut stream).await?;
        serde_json::from_str(&answer).map_err(io::Error::from)
    };
    tokio::time::timeout(EXCHANGE_TIMEOUT, exchange)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map(Some)
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_LEN_MAX)).read_line(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_operator_hears_whether_a_server_is_there() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("admin.sock");
        assert!(ask(&path, &AdminRequest::Status).await.unwrap().is_none());

        let subscriber = bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = subscriber.accept().await.unwrap();
            let request = read_request(&mut stream).await.unwrap();
            assert!(matches!(request, AdminRequest::UserRemove { name } if name == "bob"));
            let reply = AdminReply::Failed { code: 3, error: "no bob".into(), hint: String::new() };
            write_reply(&mut stream, &reply).await.unwrap();
        });
        let reply = ask(&path, &AdminRequest::UserRemove { name: "bob".into() }).await.unwrap();
        assert!(matches!(reply, Some(AdminReply::Failed { code: 3, .. })));
        server.await.unwrap();

        // The socket file is still there, but nobody is behind it.
        assert!(ask(&path, &AdminRequest::Status).await.unwrap().is_none());
    }
}
