//! A server with its assistant, a scripted model behind it, and people with real clients.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use mathia_protocol::client::ClientEvent;

use super::model::Model;
use super::person::Person;
use crate::Failure;
use crate::server::Server;

/// The assistant must have an account this soon.
const ASSISTANT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Town {
    pub(crate) server: Server,
    link: String,
}

impl Town {
    /// Starts a server of its own in `data`, whose assistant asks `model`.
    pub(crate) async fn start(
        values: &HashMap<String, String>,
        model: &Model,
        n_people: usize,
    ) -> Result<Self, Failure> {
        let path = |key: &str| {
            values.get(key).map(PathBuf::from).ok_or_else(|| format!("{key}=PATH is missing"))
        };
        let mut server = Server::new(path("server_bin")?, &path("data")?, None)?
            .with_assistant(&model.section())?
            .on_core(values.get("core").cloned());
        server.start().await?;
        let there = async {
            while server.assistant()?.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(ASSISTANT_TIMEOUT, there).await??;
        let link = server.invite(n_people).await?;
        Ok(Self { server, link })
    }

    /// Somebody new.
    pub(crate) async fn settles(
        &self,
        name: &str,
        hears: impl Fn(ClientEvent) + 'static,
    ) -> Result<Person, Failure> {
        Person::join(&self.link, name, hears).await
    }
}
