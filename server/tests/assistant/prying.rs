//! What others find when they look everywhere: no key of a model, and of a room only what was shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mathia_protocol::client::{StoredContent, UnreadableCause};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::message::{Message, MessageContext, OpenWith};
use mathia_protocol::crypto::wrap::{AgentWrap, WrapContext, unwrap};
use mathia_protocol::id::{Epoch, Seq};
use mathia_server::store::EntryRange;

use super::agent::{files_under, settings};
use super::house::{House, mathia};
use super::serving::Serve;
use crate::cast::{Person, TestResult};
use crate::model::wire::{answer, delta, sized, until_closed};
use crate::model::{ModelServer, within};

const KEY: &str = "sk-canary-0123456789";
const UNSEEN: &str = "the canary sings behind the curtain";
const SHOWN: &str = "the drawbridge is stuck";
const ASKED: &str = "when does it open";
const SAID: &str = "It opens at dawn.";

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// The model's key goes to the model and nowhere else: no log at the finest level, no data, no
/// arguments or environment of any process, no answer and no cause, though the model's server
/// repeats it. Nor does any log hold what was asked or answered.
#[tokio::test]
async fn the_key_of_the_model_is_found_nowhere() -> TestResult {
    let mut model = ModelServer::start().await;
    let keys = tempfile::tempdir()?;
    let key_file = keys.path().join("ai.key");
    std::fs::write(&key_file, format!("{KEY}\n"))?;
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600))?;
    let key_line = format!("key_file = {key_file:?}");
    let mut serve = Serve::starts(&settings(&model.base_url(), &key_line)).await?;
    let mut ann = serve.newcomer("ann").await?;
    let room = ann.makes("team", &[], |room| room.people = vec![mathia()]).await?;
    let echo = format!("{{\"error\":{{\"message\":\"bad key {KEY}\"}}}}");
    let mut said = String::new();
    for response in [
        sized("401 Unauthorized", "", &echo),
        until_closed(&format!("{}data: {echo}\n\n", delta("One"))),
        until_closed(&answer(&[SAID], 1, 1)),
    ] {
        let ask = ann.asks(room, ASKED).await?;
        let mut call = within(model.next_call()).await;
        assert_eq!(call.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        call.sends(&response).await;
        let heard = ann.is_answered(room, ask).await?;
        said.extend([heard.text, heard.cause, heard.model, heard.provider]);
    }
    assert!(said.contains(SAID) && !said.contains(KEY), "{said}");
    for process in [serve.id()?, serve.assistant(None).await?] {
        for of in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{process}/{of}"))?;
            assert!(!bytes.is_empty() && !holds(&bytes, KEY), "{of} of {process}");
        }
    }
    serve.stops().await?;
    let log = serve.log();
    assert!(log.contains("starting new connection"), "what dependencies log is there");
    for needle in [KEY, "sk-canary", ASKED, SAID] {
        assert!(!log.contains(needle), "{needle:?} is in the log");
    }
    let files = files_under(serve.scratch())?;
    assert!(files.iter().any(|path| path.ends_with("assistant/store.sqlite")), "{files:?}");
    for path in files.iter().filter(|path| !path.ends_with("config")) {
        let bytes = std::fs::read(path)?;
        for needle in [KEY, ASKED, SAID] {
            assert!(!holds(&bytes, needle), "{needle:?} is in {}", path.display());
        }
    }
    Ok(())
}

/// With everything that the assistant has, what was asked and shown opens, and nothing else that was
/// said in the room.
#[tokio::test]
async fn with_all_it_has_only_what_was_shown_can_be_read() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    house.bob.says(room, UNSEEN).await?;
    let shown = house.bob.says(room, SHOWN).await?;
    for _ in 0..2 {
        house.ann.hears(room).await?;
    }
    let ask = house.ann.asks_with(room, ASKED, &[shown], |_| {}).await?;
    let mut call = within(house.model.next_call()).await;
    call.sends(&until_closed(&answer(&[SAID], 1, 1))).await;
    house.both_hear(ask).await?;
    // What is said in later epochs, and after the answer, is no less hidden.
    house.ann.does(mathia_protocol::client::Command::Rotate(room)).await?;
    house.bob.knows(room).await?;
    house.bob.says(room, UNSEEN).await?;
    house.ann.hears(room).await?;
    let last = house.ann_asks("and now?", &until_closed(&answer(&["So."], 1, 1))).await?;
    house.both_hear(last).await?;
    house.agent.stops().await?;

    let has = house.agent.belongings()?;
    let (account, device) = (has.identity.account, has.identity.device());
    let (store, number) = (house.town.store()?, house.town.number(room)?);
    let state = house.town.state(room)?;
    let epochs: Vec<Epoch> = state.epochs().iter().map(|record| record.epoch).collect();
    let mut sender_keys: Vec<SenderKey> = Vec::new();
    for epoch in &epochs {
        assert!(has.replica.epoch_secret(room, *epoch)?.is_none());
        sender_keys.extend(has.replica.agent_key(room, *epoch)?);
    }
    assert_eq!(sender_keys.len(), 2, "one for each epoch in which it was there");

    // A sender key taken for the secret of its room leads nowhere either.
    let mut derived = Vec::new();
    for record in state.epochs() {
        for key in &sender_keys {
            let room_key =
                RoomKey::derive(record.commit_hash, &EpochSecret::from_bytes(&key.to_bytes()));
            for person in [&house.ann, &house.bob] {
                derived.push(SenderKey::derive(&room_key, person.account(), person.device()));
            }
        }
    }
    for row in store.wraps(number, device, Epoch(0))? {
        let record = state.epoch_record(row.epoch).ok_or("no epoch")?;
        let (commit_hash, hpke_gen) = (record.commit_hash, row.hpke_gen);
        let context = WrapContext { commit_hash, account, device, hpke_gen };
        let secret = has.identity.hpke_secret(hpke_gen).ok_or("no key")?;
        assert!(unwrap(secret, &context, &row.sealed).is_err());
        assert!(unwrap(secret, &context, &AgentWrap::decode(&row.sealed)?.wrap).is_err());
    }

    let (from, to) = (Seq(1), store.head(number)?.seq);
    let range = EntryRange { room: number, from, to, n_rows_max: 1_000, n_bytes_max: usize::MAX };
    let (mut read, mut n_hidden) = (Vec::new(), 0);
    for row in store.entries(range)? {
        let bytes = row.body.ok_or("an entry without a body")?;
        let Ok(message) = Message::decode(&bytes) else { continue };
        let author = [&house.ann, &house.bob].into_iter().find(|p| p.device() == row.device);
        let epoch = message.header().epoch;
        let commit_hash = state.epoch_record(epoch).ok_or("no epoch")?.commit_hash;
        let author_account = author.map_or(account, Person::account);
        let context =
            MessageContext { room, commit_hash, account: author_account, device: row.device };
        let slots =
            has.identity.hpke.iter().map(|key| OpenWith::Slot { device, secret: &key.secret });
        let keys = sender_keys.iter().chain(&derived).map(OpenWith::SenderKey);
        let opened: Vec<_> =
            slots.chain(keys).filter_map(|with| message.open(&context, with).ok()).collect();
        let kept = has.replica.entries_before(room, row.seq.next(), 1)?.pop().ok_or("not kept")?;
        match opened.first() {
            None => {
                assert_eq!(
                    kept.content,
                    StoredContent::Unreadable(UnreadableCause::NotShown),
                    "{}",
                    row.seq
                );
                n_hidden += 1;
            }
            Some(opened) => match Content::decode(opened.plaintext.clone())? {
                Content::Ask(ask) => read.push(ask.text),
                Content::Answer(answer) => read.push(answer.text),
                other => return Err(format!("it reads {other:?}").into()),
            },
        }
    }
    assert_eq!(read, [ASKED, SAID, "and now?", "So."]);
    assert_eq!(n_hidden, 3);
    assert!(has.replica.outbox(None)?.is_empty());
    files_hold_nothing_of_it(&house.agent.dir())
}

fn files_hold_nothing_of_it(dir: &Path) -> TestResult {
    let files = files_under(dir)?;
    assert!(files.iter().any(|path| path.ends_with("store.sqlite")), "{files:?}");
    for path in files {
        let bytes = std::fs::read(&path)?;
        for needle in [UNSEEN, "the canary", SHOWN, ASKED, SAID] {
            assert!(!holds(&bytes, needle), "{needle:?} is in {}", path.display());
        }
    }
    Ok(())
}
