//! What a connection says first: who are you, here I am (CRYPTO B7).
//!
//! Owns the opening frames and the signature over the TLS exporter. A login that a machine in the
//! middle passes on is refused by the honest server, since its exporter differs.

use quinn::Connection;

use super::connect::{FrameReader, FrameWriter, StreamError};
use crate::crypto::auth::{AuthScope, EXPORTER_LABEL, EXPORTER_LEN, ExporterValue, NoExporter};
use crate::crypto::identity::{Signature, SigningKey};
use crate::crypto::user_chain::SignedLink;
use crate::id::InviteToken;
use crate::limits::PROTOCOL_VERSION;
use crate::wire::{Fault, Hello, Info, Opening, OpeningReply, Register, Welcome};

/// Why a login or registration failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server refused; the fault says what helps.
    #[error("{0}")]
    Refused(Fault),
    /// The stream broke before an answer. Connecting again helps.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The transport has no keying material to sign. A bug.
    #[error(transparent)]
    Exporter(#[from] NoExporter),
    /// The server answered something else than was asked.
    #[error("the server answered out of turn")]
    OutOfTurn,
}

/// The session stream before login.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) writer: FrameWriter,
    pub(super) reader: FrameReader,
}

impl Opener {
    /// Opens the session stream: the first bidirectional stream of the client.
    pub(super) async fn open(connection: &Connection) -> Result<Self, LoginError> {
        let (send, receive) =
            connection.open_bi().await.map_err(|error| StreamError::Lost(error.to_string()))?;
        Ok(Self { writer: FrameWriter::new(send), reader: FrameReader::new(receive) })
    }

    /// Asks which realm this is.
    pub(super) async fn info(&mut self) -> Result<Info, LoginError> {
        match self.ask(&Opening::Info).await? {
            OpeningReply::Info(info) => Ok(info),
            _ => Err(LoginError::OutOfTurn),
        }
    }

    /// Logs a known device in; `sign` makes its signature over the exporter value.
    pub(super) async fn hello(
        &mut self,
        connection: &Connection,
        scope: &AuthScope,
        sign: impl FnOnce(&ExporterValue) -> Signature,
    ) -> Result<Welcome, LoginError> {
        let signature = sign(&export(connection, scope)?).0;
        let (version, account, device) = (PROTOCOL_VERSION, scope.account, scope.device);
        let hello = Hello { version, features: 0, account, device, signature };
        self.welcome(&Opening::Hello(hello)).await
    }

    /// Makes an account; repeating it with the same genesis is harmless.
    pub(super) async fn register(
        &mut self,
        connection: &Connection,
        scope: &AuthScope,
        key: &SigningKey,
        genesis: &SignedLink,
        invite: Option<(InviteToken, [u8; 32])>,
    ) -> Result<Welcome, LoginError> {
        let ekm = export(connection, scope)?;
        let token = invite.map(|(token, _)| token);
        let register = Register {
            version: PROTOCOL_VERSION,
            features: 0,
            token,
            genesis: genesis.0.clone(),
            proof: invite.map(|(_, proof)| proof),
            signature: scope.sign_register(key, genesis, token, &ekm).0,
        };
        self.welcome(&Opening::Register(register)).await
    }

    async fn welcome(&mut self, opening: &Opening) -> Result<Welcome, LoginError> {
        match self.ask(opening).await? {
            OpeningReply::Welcome(welcome) => Ok(welcome),
            _ => Err(LoginError::OutOfTurn),
        }
    }

    async fn ask(&mut self, opening: &Opening) -> Result<OpeningReply, LoginError> {
        self.writer.write(opening).await?;
        match self.reader.next_in_time().await? {
            OpeningReply::Fault(fault) => Err(LoginError::Refused(fault)),
            reply => Ok(reply),
        }
    }
}

fn export(connection: &Connection, scope: &AuthScope) -> Result<ExporterValue, LoginError> {
    let mut ekm = [0; EXPORTER_LEN];
    let context = scope.exporter_context();
    connection
        .export_keying_material(&mut ekm, EXPORTER_LABEL, context.as_bytes())
        .map_err(|_| NoExporter)?;
    Ok(ExporterValue::new(ekm)?)
}
