//! One connection with its session stream, before login and after.

use std::net::{Ipv4Addr, SocketAddr};

use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::limits::STREAM_VERSION;
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, CloseCode, Event, Fault, LogEntry, Opening, OpeningReply, Reply,
    Request, RoomHead, ServerFrame, Welcome, encode_frame,
};
use quinn::{Connection, ConnectionError, Endpoint, SendStream};
use tokio::time::timeout;

use super::{Frames, PATIENCE, client_config};
use crate::TestResult;

/// Connects to any server on the loopback, whatever its key.
pub async fn dial(address: SocketAddr) -> TestResult<Connection> {
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    endpoint.set_default_client_config(client_config()?);
    Ok(timeout(PATIENCE, endpoint.connect(address, "mathia")?).await??)
}

/// Waits until the server has closed a connection, and says with which word.
pub async fn close_code(connection: &Connection) -> TestResult<CloseCode> {
    match timeout(PATIENCE, connection.closed()).await? {
        ConnectionError::ApplicationClosed(close) => {
            Ok(CloseCode::from_number(close.error_code.into_inner()))
        }
        other => Err(format!("the connection ended otherwise: {other}").into()),
    }
}

/// A connection and its session stream.
pub struct Session {
    /// The connection; it ends with this value.
    pub connection: Connection,
    /// Towards the server.
    pub send: SendStream,
    /// From the server.
    pub frames: Frames,
    last_call: u32,
}

impl Session {
    /// Opens the session stream; nothing but its version is said.
    pub async fn stranger(connection: Connection) -> TestResult<Self> {
        let (mut send, receive) = connection.open_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        Ok(Self { connection, send, frames: Frames::new(receive), last_call: 0 })
    }

    /// Says the first frame of a connection and hears the answer, whatever it is.
    pub async fn open(
        connection: Connection,
        opening: &Opening,
    ) -> TestResult<(Self, OpeningReply)> {
        let mut session = Self::stranger(connection).await?;
        session.say(opening).await?;
        let reply = session.hear().await?;
        Ok((session, reply))
    }

    /// Says the first frame of a connection, which must be answered by a welcome.
    pub async fn login(connection: Connection, opening: &Opening) -> TestResult<(Self, Welcome)> {
        match Self::open(connection, opening).await? {
            (session, OpeningReply::Welcome(welcome)) => Ok((session, welcome)),
            (_, OpeningReply::Fault(fault)) => Err(fault.into()),
            (_, other) => Err(format!("instead of a welcome: {other:?}").into()),
        }
    }

    /// Says an opening.
    pub async fn say(&mut self, opening: &Opening) -> TestResult {
        Ok(self.send.write_all(&encode_frame(opening)).await?)
    }

    /// Hears the answer to an opening.
    pub async fn hear(&mut self) -> TestResult<OpeningReply> {
        Ok(self.frames.next().await?.ok_or("the stream ended")?)
    }

    /// Waits until the server has closed the connection, and says with which word.
    pub async fn ending(&self) -> TestResult<CloseCode> {
        close_code(&self.connection).await
    }

    /// Sends a request and returns its number.
    pub async fn call(&mut self, request: Request) -> TestResult<u32> {
        self.last_call += 1;
        let call = Call { id: self.last_call, request };
        self.send.write_all(&encode_frame(&call)).await?;
        Ok(self.last_call)
    }

    /// The next frame after login.
    pub async fn next(&mut self) -> TestResult<ServerFrame> {
        Ok(self.frames.next().await?.ok_or("the session ended")?)
    }

    /// The next answer, with the call it answers; events before it are thrown away.
    pub async fn answer(&mut self) -> TestResult<(u32, Result<Reply, Fault>)> {
        loop {
            match self.next().await? {
                ServerFrame::Event(_) => {}
                ServerFrame::Reply { id, reply } => return Ok((id, Ok(reply))),
                ServerFrame::Fault { id, fault } => return Ok((id, Err(fault))),
            }
        }
    }

    /// Asks and waits for the answer; events and other answers before it are thrown away.
    pub async fn ask(&mut self, request: Request) -> TestResult<Result<Reply, Fault>> {
        let wanted = self.call(request).await?;
        loop {
            let (id, answer) = self.answer().await?;
            if id == wanted {
                return Ok(answer);
            }
        }
    }

    /// The next event of a kind; everything before it is thrown away.
    pub async fn event(&mut self, is_it: impl Fn(&Event) -> bool) -> TestResult<Event> {
        loop {
            match self.next().await? {
                ServerFrame::Event(event) if is_it(&event) => return Ok(event),
                _ => {}
            }
        }
    }

    /// Begins to hear events, and learns the rooms.
    pub async fn resume(&mut self) -> TestResult<Vec<RoomHead>> {
        match self.ask(Request::Resume { cursors: Vec::new(), is_last: true }).await? {
            Ok(Reply::Resumed { heads, .. }) => Ok(heads),
            other => Err(format!("resume was answered by {other:?}").into()),
        }
    }

    /// All frames of one bulk read.
    pub async fn bulk(&self, request: &BulkRequest) -> TestResult<Vec<BulkReply>> {
        let mut frames = self.ask_in_bulk(request).await?;
        let mut replies = Vec::new();
        while let Some(reply) = frames.next().await? {
            replies.push(reply);
        }
        Ok(replies)
    }

    /// Reads the newest entries of a room.
    pub async fn last(&self, room: RoomId, count: u32) -> TestResult<Vec<LogEntry>> {
        self.read(&BulkRequest::Before { room, before: Seq(0), count }).await
    }

    /// Reads a room from its beginning to its head.
    pub async fn whole(&self, room: RoomId) -> TestResult<Vec<LogEntry>> {
        self.after(room, Seq(0)).await
    }

    /// Reads a room from behind a place to its head.
    pub async fn after(&self, room: RoomId, after: Seq) -> TestResult<Vec<LogEntry>> {
        self.read(&BulkRequest::After { room, after, count: u32::MAX }).await
    }

    /// Reads entries on a stream of their own, until the page that says it is the last.
    async fn read(&self, request: &BulkRequest) -> TestResult<Vec<LogEntry>> {
        let mut frames = self.ask_in_bulk(request).await?;
        let mut all = Vec::new();
        while let Some(reply) = frames.next().await? {
            match reply {
                BulkReply::Page { entries, is_last, .. } => {
                    all.extend(entries);
                    if is_last {
                        break;
                    }
                }
                BulkReply::Fault(fault) => return Err(fault.into()),
            }
        }
        Ok(all)
    }

    async fn ask_in_bulk(&self, request: &BulkRequest) -> TestResult<Frames> {
        let (mut send, receive) = self.connection.open_bi().await?;
        send.write_all(&[&[STREAM_VERSION], &encode_frame(request)[..]].concat()).await?;
        send.finish()?;
        Ok(Frames::new(receive))
    }
}
