//! Who is gone reads nothing more, and needs nobody's word for it: the keys are not there.

use crate::cast::{Person, TestResult, Town};
use mathia_protocol::client::Command;
use mathia_protocol::crypto::wrap::{WrapContext, unwrap};
use mathia_protocol::id::{Epoch, RoomId};

/// A removed member is in no wrap of the new epoch, and its client shows nothing of it.
#[tokio::test]
async fn a_removed_member_reads_nothing_that_comes_after() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let mut eve = town.newcomer("eve").await?;
    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    ann.says(room, "before").await?;
    assert_eq!(eve.hears(room).await?, "before");

    ann.does(Command::Remove { room, person: eve.name() }).await?;
    ann.says(room, "after").await?;
    assert_eq!(bob.hears(room).await?, "before");
    assert_eq!(bob.hears(room).await?, "after");
    bob.says(room, "indeed").await?;

    let now = bob.knows(room).await?.epoch;
    assert_eq!(now, Epoch(2));
    has_no_key(&town, room, &eve, now, &[&ann, &bob])?;
    eve.does(Command::Sync).await?;
    assert_eq!(eve.texts(room).await?, ["before"]);
    Ok(())
}

/// Somebody leaves: the next sender starts a new epoch before it says a word.
#[tokio::test]
async fn after_somebody_left_the_next_sender_rotates_first() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let bob = town.newcomer("bob").await?;
    let mut eve = town.newcomer("eve").await?;
    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    ann.says(room, "before").await?;
    assert_eq!(eve.hears(room).await?, "before");
    eve.does(Command::Leave(room)).await?;
    assert_eq!(town.epochs_wrapped(room, ann.device())?, [Epoch(1)], "the leaver starts no epoch");

    ann.knows(room).await?;
    ann.says(room, "after").await?;
    has_no_key(&town, room, &eve, Epoch(2), &[&ann, &bob])?;
    bob.has_texts(room, &["before", "after"]).await
}

/// A revoked device is in no wrap of the epoch that the next sender starts.
#[tokio::test]
async fn a_revoked_device_reads_nothing_that_comes_after() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let phone = town.second_device(&ann).await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "before").await?;
    assert_eq!(bob.hears(room).await?, "before");
    phone.has_texts(room, &["before"]).await?;

    ann.does(Command::RevokeDevice(phone.device())).await?;
    bob.knows_devices(&ann, 1).await?;
    bob.says(room, "after").await?;
    assert_eq!(ann.hears(room).await?, "after");
    has_no_key(&town, room, &phone, Epoch(2), &[&ann, &bob])?;
    assert_eq!(phone.texts(room).await?, ["before"]);
    Ok(())
}

/// Checks from the stored bytes that somebody's device holds nothing of an epoch: no wrap is made
/// for it, none of the others' opens with its key, none came to its replica.
fn has_no_key(
    town: &Town,
    room: RoomId,
    gone: &Person,
    epoch: Epoch,
    present: &[&Person],
) -> TestResult {
    let store = town.store()?;
    let number = town.number(room)?;
    assert!(!town.epochs_wrapped(room, gone.device())?.contains(&epoch));
    assert!(gone.replica.epoch_secret(room, epoch)?.is_none());
    let commit_hash = town.state(room)?.epoch_record(epoch).ok_or("no epoch")?.commit_hash;
    for person in present {
        let wraps = store.wraps(number, person.device(), epoch)?;
        let wrap = wraps.iter().find(|wrap| wrap.epoch == epoch).ok_or("a member has no key")?;
        let (account, device, hpke_gen) = (wrap.account, wrap.device, wrap.hpke_gen);
        let context = WrapContext { commit_hash, account, device, hpke_gen };
        let own = person.identity.hpke_secret(hpke_gen).ok_or("no key")?;
        assert!(unwrap(own, &context, &wrap.sealed).is_ok());
        let other = gone.identity.hpke_secret(hpke_gen).ok_or("no key")?;
        assert!(unwrap(other, &context, &wrap.sealed).is_err());
    }
    Ok(())
}

/// By the default rule a newcomer holds no key from before its time, and is left none.
#[tokio::test]
async fn a_newcomer_holds_no_key_from_before_its_time() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let bob = town.newcomer("bob").await?;
    let dan = town.newcomer("dan").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "before").await?;
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;
    ann.says(room, "after").await?;
    dan.has_texts(room, &["after"]).await?;
    assert_eq!(town.epochs_wrapped(room, dan.device())?, [Epoch(2)]);
    assert!(dan.replica.epoch_secret(room, Epoch(1))?.is_none());
    assert!(town.store()?.grants(town.number(room)?, dan.device())?.is_empty());
    bob.has_texts(room, &["before", "after"]).await
}
