//! Lies about a message on its way: lost, its answer lost, refused for no reason. What is proven is
//! which bytes come in at the server, and how often.
//!
//! The server here is a script to its core, so that it can go dead between two steps and keep all that
//! ever arrived. Every other lie is told in the stories of the server (`server/tests/stories/lying`),
//! by a liar between honest clients and the real server, and is not told here again.

use crate::liar::{Liar, Lose, Person, TestResult};
use mathia_protocol::crypto::message::Message;
use mathia_protocol::id::{Epoch, RoomId};
use mathia_protocol::wire::Fault;

/// Two people who have talked.
async fn a_pair(liar: &Liar) -> TestResult<(Person, Person, RoomId)> {
    let mut ann = Person::joins(liar, "ann").await?;
    let mut bob = Person::joins(liar, "bob").await?;
    let room = ann.makes_room(&[&bob]).await?;
    ann.says(room, "hello").await?;
    bob.hears("hello").await?;
    Ok((ann, bob, room))
}

#[tokio::test]
async fn a_message_that_was_lost_is_sent_again_byte_by_byte() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().lose = Some(Lose::Message);
    ann.says(room, "twice on the way").await?;
    bob.hears("twice on the way").await?;
    let world = liar.world();
    let [.., first, second] = world.arrived.as_slice() else { return Err("not sent again".into()) };
    assert_eq!(first, second);
    assert_eq!(world.rooms[&room].entries.iter().filter(|entry| *entry == first).count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_message_whose_ack_was_lost_is_not_doubled() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().lose = Some(Lose::Ack);
    ann.says(room, "once").await?;
    ann.says(room, "and on").await?;
    let bob_account = bob.identity.account;
    liar.world().tell_head(bob_account, room);
    bob.hears("and on").await?;
    assert_eq!(bob.texts(room).await?, ["hello", "once", "and on"]);
    assert_eq!(ann.texts(room).await?, ["hello", "once", "and on"]);
    Ok(())
}

#[tokio::test]
async fn a_stale_epoch_is_no_reason_to_use_any_other_than_the_log_s() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().refuse = Some(Fault::StaleEpoch { epoch: Epoch(9) });
    ann.says(room, "sealed anew").await?;
    bob.hears("sealed anew").await?;
    let world = liar.world();
    let [.., first, second] = world.arrived.as_slice() else { return Err("not sent again".into()) };
    assert_ne!(first, second, "never the same keys for two tries");
    let (first, second) = (Message::decode(first)?, Message::decode(second)?);
    assert_eq!(second.header().epoch, Epoch(1));
    assert_eq!(first.header().ctr(), second.header().ctr());
    Ok(())
}
