//! Lies at the door: another key, a borrowed login.

use mathia_protocol::client::{AlarmCause, ConnectionState};
use mathia_protocol::wire::{Fault, Opening, OpeningReply};

use super::scene::Scene;
use crate::cast::{Person, Session, TestResult, Town, dial, enrols, hello};
use crate::liar::Liar;

/// Another key under the known address is a hard stop before a word is said.
#[tokio::test]
async fn another_certificate_is_a_hard_stop() -> TestResult {
    let town = Town::start()?;
    let impostor = Liar::with_key(&town, &rcgen::KeyPair::generate()?)?;
    let (identity, replica) = enrols("ann", &format!("mathia://{}", town.address)).await?;
    let mut ann = Person::start("ann", impostor.address, identity, replica, town.clock.clone())?;
    let (cause, text) = ann.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::ServerChanged);
    assert!(!text.is_empty());
    let is_stopped = |state: &ConnectionState| {
        matches!(state, ConnectionState::Stopped { is_untrusted: true, .. })
    };
    ann.client.connection_where(is_stopped).await.ok_or("the client ended")?;
    assert!(impostor.hellos().is_empty(), "not even a name was said");
    Ok(())
}

/// A login that was given to one server is worth nothing at another: it is signed over what only
/// the two ends of that connection know.
#[tokio::test]
async fn a_relayed_login_is_refused() -> TestResult {
    let scene = Scene::begin().await?;
    let (honest, ann) = (scene.town.address, &scene.ann);
    let given = scene.liar.hellos().into_iter().find(|said| said.device == ann.device());
    let given = given.ok_or("ann never logged in")?;
    let (_, reply) = Session::open(dial(honest).await?, &Opening::Hello(given)).await?;
    assert_eq!(reply, OpeningReply::Fault(Fault::AuthFailed));

    let own = dial(honest).await?;
    let fresh = Opening::Hello(hello(&own, &ann.identity)?);
    let (_, reply) = Session::open(own, &fresh).await?;
    assert!(matches!(reply, OpeningReply::Welcome(_)), "the same words for this connection: fine");
    Ok(())
}

/// What is said in an open room the server may read; so the search for plaintexts finds them.
#[tokio::test]
async fn the_search_for_plaintexts_finds_what_is_said_openly() -> TestResult {
    let mut scene = Scene::begin().await?;
    assert!(!scene.liar.has_heard("hello"));
    let plaza = scene.ann.makes("plaza", &[], |room| room.is_open = true).await?;
    scene.ann.says(plaza, "to all who pass").await?;
    assert!(scene.liar.has_heard("to all who pass"));
    Ok(())
}
