//! Lies to newcomers, who have seen nothing yet and believe nothing.

use mathia_protocol::client::{AlarmCause, Command, ConnectError, RegisterError};
use mathia_protocol::crypto::commit::{Commit, CommitKind};
use mathia_protocol::wire::{BulkReply, BulkRequest, EntryBody, LogEntry};

use super::scene::Scene;
use crate::cast::{TestResult, Town, enrols};
use crate::liar::Liar;

/// An invite says which key the server has: at another, not even the name is told.
#[tokio::test]
async fn an_invite_leads_to_no_other_server() -> TestResult {
    let town = Town::start()?;
    let impostor = Liar::with_key(&town, &rcgen::KeyPair::generate()?)?;
    let invite = town.operators_invite().await?;
    let lured = invite.replace(&town.address.to_string(), &impostor.address.to_string());
    assert_ne!(lured, invite);
    let refused = enrols("ann", &lured).await.err().ok_or("the impostor was believed")?;
    let is_untrusted =
        matches!(refused.downcast_ref(), Some(RegisterError::Connect(ConnectError::Untrusted(_))));
    assert!(is_untrusted, "{refused}");
    town.newcomer_by("ann", &invite).await?;
    Ok(())
}

/// The server leaves a removal out of what it shows a newcomer: the changes do not follow.
#[tokio::test]
async fn a_newcomer_sees_that_a_change_is_missing() -> TestResult {
    let (scene, others) = Scene::begin_with(&["eve"]).await?;
    let mut dan = scene.liar.newcomer("dan").await?;
    scene.ann.does(Command::Remove { room: scene.room, person: others[0].name() }).await?;
    let newcomer = dan.account();
    scene.liar.reads_out(move |to, request, mut reply| {
        if to == newcomer
            && matches!(request, BulkRequest::Commits { .. })
            && let BulkReply::Page { entries, .. } = &mut reply
        {
            entries.retain(|entry| !is_removal(entry));
        }
        reply
    });
    scene.ann.does(Command::Add { room: scene.room, people: vec![dan.name()] }).await?;
    let (cause, text) = dan.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BrokenLog);
    assert!(text.contains("do not verify"), "{text}");
    assert!(
        dan.client
            .run(Command::Send { room: scene.room, text: "hi".into(), tag: None })
            .await
            .is_err()
    );
    Ok(())
}

/// An entry from before a newcomer's time is changed: the page does not meet what was verified.
#[tokio::test]
async fn a_changed_past_does_not_meet_the_present() -> TestResult {
    let town = Town::start()?;
    let liar = Liar::before(&town)?;
    let mut ann = liar.newcomer("ann").await?;
    let mut dan = liar.newcomer("dan").await?;
    let room = ann.makes("team", &[], |room| room.shares_history = true).await?;
    ann.says(room, "it was like this").await?;
    let newcomer = dan.account();
    liar.reads_out(move |to, request, mut reply| {
        if to == newcomer
            && matches!(request, BulkRequest::Before { .. })
            && let BulkReply::Page { entries, .. } = &mut reply
            && let Some(LogEntry { body: EntryBody::Whole(bytes), .. }) = entries.last_mut()
        {
            let place = bytes.len() - 70;
            bytes[place] ^= 1;
        }
        reply
    });
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;
    ann.says(room, "now").await?;
    assert_eq!(dan.hears(room).await?, "now");
    assert_eq!(dan.texts(room).await?, ["now"], "the page is not believed");
    assert_eq!(dan.is_alarmed().await?.0, AlarmCause::Fork);
    assert!(dan.sees(room).await?.sending_stopped.is_some());
    Ok(())
}

fn is_removal(entry: &LogEntry) -> bool {
    match &entry.body {
        EntryBody::Whole(bytes) => {
            Commit::decode(bytes.clone()).is_ok_and(|commit| commit.kind == CommitKind::Remove)
        }
        EntryBody::Gone(_) => false,
    }
}
