//! Bits rot on the server's disk: who asks for them is told, everybody else talks on.

use mathia_protocol::client::ClientEvent;
use mathia_server::data_dir::DATABASE_FILE;

use crate::cast::{TestResult, Town};

/// One damaged message: a device that reads it is told, the operator sees it counted, and the server
/// neither ends nor keeps anything whole from anybody.
#[tokio::test]
async fn a_rotten_page_is_refused_told_and_counted_and_the_server_goes_on() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "soon rotten").await?;
    assert_eq!(bob.hears(room).await?, "soon rotten");
    let file = rusqlite::Connection::open(town.dir.path().join(DATABASE_FILE))?;
    assert_eq!(file.execute("UPDATE entry SET body = zeroblob(300) WHERE tag = 2", ())?, 1);
    drop(file);
    assert_eq!(town.damage_found().await?, 0);

    let mut phone = town.second_device(&ann).await?;
    let told = phone
        .wait_for(|event| match event {
            ClientEvent::Notice { room: Some(of), text } if of == room => Some(text),
            _ => None,
        })
        .await?;
    assert!(told.contains("damaged") && told.contains("restore a backup"), "{told}");
    assert!(town.damage_found().await? > 0);

    ann.says(room, "still here").await?;
    assert_eq!(bob.hears(room).await?, "still here");
    let other = ann.makes_room("other", &[&bob]).await?;
    bob.knows(other).await?;
    ann.says(other, "and elsewhere").await?;
    assert_eq!(bob.hears(other).await?, "and elsewhere");
    Ok(())
}
