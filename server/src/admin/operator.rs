//! Carries out what an operator asks, the same beside a running server and without one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use mathia_protocol::crypto::invite::{Invite, InviteSecret, Ticket};
use mathia_protocol::id::{InviteToken, RoomId, TimeMs};
use mathia_protocol::name::RoomName;
use mathia_protocol::wire::Fault;
use rand::SeedableRng as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::backup;
use super::socket::{AdminReply, AdminRequest};
use crate::error_text::with_causes;
use crate::refusal::Refusal;
use crate::rooms::{AdminJob, AnswerTo, Job};
use crate::serve::Services;
use crate::store::InviteRow;

/// Everything an operator's wish may touch.
#[derive(Debug)]
pub struct Operator<'a> {
    /// Database, keys, write queue and readers.
    pub services: &'a Services,
    /// `host:port` for links.
    pub address: String,
    /// What only a running server can tell.
    pub live: Option<LiveStatus>,
}

/// How a running server is doing.
#[derive(Debug, Clone)]
pub struct LiveStatus {
    /// Where it listens.
    pub listening: String,
    /// Sessions that are open.
    pub n_sessions: usize,
    /// When it started.
    pub started: TimeMs,
}

/// What went wrong, as the operator reads it.
struct Failure {
    code: u8,
    error: String,
    hint: &'static str,
}

impl Failure {
    fn not_found(error: String, hint: &'static str) -> Self {
        Self { code: 3, error, hint }
    }

    fn general(error: &dyn std::fmt::Display) -> Self {
        Self { code: 1, error: error.to_string(), hint: "" }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::general(&fault)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => fault.into(),
            Refusal::Store(error) => Self::general(&with_causes(&error)),
        }
    }
}

type Lines = Result<Vec<Value>, Failure>;

impl Operator<'_> {
    /// Does it.
    pub async fn carry_out(&self, request: AdminRequest) -> AdminReply {
        let done = match request {
            AdminRequest::Invite { uses, lifetime_s, rooms } => {
                self.invite(uses, lifetime_s, &rooms).await
            }
            AdminRequest::InviteList => self.invites().await,
            AdminRequest::InviteRevoke { id } => self.revoke_invite(&id).await,
            AdminRequest::UserList => self.accounts().await,
            AdminRequest::UserRemove { name } => self.remove_account(name).await,
            AdminRequest::RotateKeys => self.rotate_keys().await,
            AdminRequest::Backup { file } => self.backup(&file).await,
            AdminRequest::Status => self.status().await,
            AdminRequest::Ping => self.ping().await,
        };
        match done {
            Ok(lines) => AdminReply::Lines(lines),
            Err(Failure { code, error, hint }) => {
                AdminReply::Failed { code, error, hint: hint.to_owned() }
            }
        }
    }

    async fn invite(&self, uses: u32, lifetime_s: u64, rooms: &[String]) -> Lines {
        let mut granted = Vec::new();
        for name in rooms {
            granted.push(self.open_room(name).await?);
        }
        let secret = InviteSecret::generate(&mut rand::rngs::StdRng::from_rng(&mut rand::rng()));
        let expires = TimeMs(self.services.shared.clock.now_ms().0 + lifetime_s * 1_000);
        let token = secret.token();
        self.ask(|answer| AdminJob::CreateInvite { token, uses, expires, rooms: granted, answer })
            .await?;
        let (host, port) = split_address(&self.address)?;
        let ticket = Ticket {
            secret,
            server_pin: self.services.certificates.pin().first_half(),
            inviter: [0; 16],
            realm: self.services.shared.realm,
        };
        let link = Invite { host, port, ticket: Some(ticket) }.to_line();
        Ok(vec![json!({
            "v": 1, "type": "invite", "link": link.as_str(), "id": invite_id(token),
            "uses": uses, "expires": rfc3339(expires),
        })])
    }

    async fn open_room(&self, name: &str) -> Result<RoomId, Failure> {
        let parsed: RoomName = name.parse().map_err(|error| Failure {
            code: 2,
            error: format!("{error}"),
            hint: "",
        })?;
        let workspace = self.services.shared.workspace;
        let tag = self.services.master.name_tag(workspace, parsed.as_str());
        let readers = &self.services.shared.readers;
        match readers.read(move |read| Ok(read.room_by_name_tag(workspace, tag)?)).await? {
            Some(row) => Ok(row.room),
            None => Err(Failure::not_found(
                format!("there is no open room {parsed}"),
                "invites of the server grant open rooms only; a member can invite to sealed ones",
            )),
        }
    }

    async fn invites(&self) -> Lines {
        let rows = self.ask(|answer| AdminJob::Invites { answer }).await?;
        let lines = rows.iter().filter_map(|row| {
            let token = self.token(row)?;
            Some(json!({
                "v": 1, "type": "invite", "id": invite_id(token), "uses_left": row.uses_left,
                "made_by": row.maker.map_or_else(|| "server".to_owned(), |maker| maker.short()),
                "created": rfc3339(row.created), "expires": rfc3339(row.expires),
                "rooms": row.rooms.len(),
            }))
        });
        Ok(lines.collect())
    }

    fn token(&self, row: &InviteRow) -> Option<InviteToken> {
        self.services.master.open_token(row.token_hash, &row.sealed_token).ok()
    }

    async fn revoke_invite(&self, id: &str) -> Lines {
        let rows = self.ask(|answer| AdminJob::Invites { answer }).await?;
        let fitting: Vec<InviteToken> = rows
            .iter()
            .filter_map(|row| self.token(row))
            .filter(|token| !id.is_empty() && invite_id(*token).starts_with(id))
            .collect();
        match fitting.as_slice() {
            [token] => {
                let token = *token;
                self.ask(|answer| AdminJob::RevokeInvite { token, answer }).await?;
                Ok(vec![json!({"v": 1, "type": "revoked", "id": invite_id(token)})])
            }
            [] => Err(Failure::not_found(
                format!("there is no invite {id}"),
                "mathia-server invite list --data DIR shows the identifiers",
            )),
            several => Err(Failure {
                code: 2,
                error: format!("{id} fits {} invites", several.len()),
                hint: "give more of the identifier",
            }),
        }
    }

    async fn accounts(&self) -> Lines {
        let rows = self.ask(|answer| AdminJob::Accounts { answer }).await?;
        let lines = rows.iter().map(|row| {
            json!({
                "v": 1, "type": "user", "name": row.handle, "account": row.account.to_hex(),
                "kind": if row.kind == 0 { "human" } else { "agent" },
                "created": rfc3339(row.created), "last_seen": rfc3339(row.last_seen),
                "removed": row.is_removed,
            })
        });
        Ok(lines.collect())
    }

    async fn remove_account(&self, name: String) -> Lines {
        let handle = name.clone();
        match self.ask(|answer| AdminJob::RemoveAccount { handle, answer }).await {
            Ok(account) => Ok(vec![
                json!({"v": 1, "type": "removed", "name": name, "account": account.to_hex()}),
            ]),
            Err(Fault::NotFound) => Err(Failure::not_found(
                format!("there is nobody named {name}"),
                "mathia-server user list --data DIR shows the names",
            )),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Page by page, so that messages go on between.
    async fn rotate_keys(&self) -> Lines {
        let workspace = self.services.shared.workspace;
        let (mut after, mut n_rooms) = (None, 0);
        loop {
            let step = self.ask(|answer| AdminJob::RotateKeys { workspace, after, answer }).await?;
            n_rooms += step.n_rooms;
            after = step.last;
            if after.is_none() {
                return Ok(vec![json!({"v": 1, "type": "rotated", "rooms": n_rooms})]);
            }
        }
    }

    async fn backup(&self, file: &Path) -> Lines {
        let (store, master, path) =
            (Arc::clone(&self.services.store), Arc::clone(&self.services.master), file.to_owned());
        let done =
            tokio::task::spawn_blocking(move || backup::backup(&*store, &path, Some(&master)));
        match done.await {
            Ok(Ok(report)) => Ok(vec![json!({
                "v": 1, "type": "backup", "file": file, "rooms": report.n_rooms,
                "entries": report.n_entries, "bytes": report.n_bytes,
            })]),
            Ok(Err(error)) => Err(Failure::general(&with_causes(&error))),
            Err(error) => Err(Failure::general(&error)),
        }
    }

    async fn status(&self) -> Lines {
        let counts = self.services.shared.readers.read(|read| Ok(read.counts()?)).await?;
        let mut status = BTreeMap::from([
            ("v", json!(1)),
            ("type", json!("status")),
            ("version", json!(crate::VERSION)),
            ("running", json!(self.live.is_some())),
            ("accounts", json!(counts.n_accounts)),
            ("rooms", json!(counts.n_rooms)),
            ("entries", json!(counts.n_entries)),
            ("schedules", json!(counts.n_schedules)),
        ]);
        if let Some(live) = &self.live {
            status.insert("listening", json!(live.listening));
            status.insert("sessions", json!(live.n_sessions));
            status.insert("damage_found", json!(self.services.shared.damage.n_found()));
            status.insert("started", json!(rfc3339(live.started)));
        }
        Ok(vec![json!(status)])
    }

    /// Goes once through the writer and once through a reader.
    async fn ping(&self) -> Lines {
        self.ask(|answer| AdminJob::Ping { answer }).await?;
        self.services.shared.readers.read(|read| Ok(read.realm()?)).await?;
        Ok(Vec::new())
    }

    /// Hands a job to the writer and waits for its answer.
    async fn ask<T>(&self, job: impl FnOnce(AnswerTo<T>) -> AdminJob) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let busy = Fault::ServerBusy { retry_after_ms: 1_000 };
        if self.services.shared.write_queue.submit(Job::Admin(job(answer))).is_err() {
            return Err(busy);
        }
        answered.await.unwrap_or(Err(busy))
    }
}

/// How an invite is named to its maker: the beginning of its token, which invites nobody.
fn invite_id(token: InviteToken) -> String {
    token.to_hex().chars().take(12).collect()
}

fn rfc3339(time: TimeMs) -> String {
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| "never".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn split_address(address: &str) -> Result<(String, u16), Failure> {
    let bad = || Failure {
        code: 78,
        error: format!("{address:?} is no host:port for links"),
        hint: "set public_address = \"host:port\" in the configuration",
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, port.parse().map_err(|_| bad())?))
}
