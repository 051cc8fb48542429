//! Two scripted people for the demo: they join by an invite, wait to be added to rooms, and talk a
//! little, as people do: they are seen typing, they read, they answer.
//!
//! `demo_people LINK` prints `ready` once both are there, and ends with its standard input.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use mathia_protocol::client::{Bot, BotError, Command, CommandError, Heard};

/// What somebody says when they hear a text with these words in it.
struct Line {
    hears: &'static str,
    says: &'static str,
}

const BOB: &[Line] = &[
    Line {
        hears: "cut is on the branch",
        says: "looks right. one thing in the migration: the epoch column is added twice",
    },
    Line { hears: "moving it", says: "thanks. green again here" },
];
const CLEO: &[Line] =
    &[Line { hears: "added twice", says: "@ann can you look at the epoch column?" }];

/// What bob says when nothing else fits, in turn.
const SMALL_TALK: &[&str] = &[
    "noted",
    "makes sense to me",
    "let me try that here and tell you",
    "works here. `?` on a message says why it looks the way it does, by the way",
    "I am only a script, but I read every word: watch your ticks turn",
];

/// Nobody reads and types in no time.
const READING: Duration = Duration::from_millis(400);
const TYPING: Duration = Duration::from_millis(900);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let link = std::env::args().nth(1).ok_or("usage: demo_people LINK")?;
    let bob = Bot::join(&link, "bob").await?;
    let cleo = Bot::join(&link, "cleo").await?;
    writeln!(std::io::stdout(), "ready")?;
    std::io::stdout().flush()?;
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Reads to the end, which comes when whoever started the demo has gone.
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        gone.send(()).ok();
    });
    tokio::select! {
        talked = talk(bob, BOB, SMALL_TALK) => talked?,
        talked = talk(cleo, CLEO, &[]) => talked?,
        _ = is_gone => {}
    }
    Ok(())
}

async fn talk(mut bot: Bot, script: &[Line], small_talk: &[&str]) -> Result<(), BotError> {
    let mut small_talk = small_talk.iter().cycle();
    while let Some(heard) = bot.next().await {
        tokio::time::sleep(READING).await;
        let read = Command::MarkRead { room: heard.room, upto: heard.seq };
        tolerate(bot.client().run(read).await.map(drop));
        let scripted = script.iter().find(|line| heard.text.contains(line.hears));
        let answer = match scripted {
            Some(line) => Some(line.says),
            None if is_addressed(&heard) => small_talk.next().copied(),
            None => None,
        };
        if let Some(answer) = answer {
            tolerate(bot.client().run(Command::Typing(heard.room)).await.map(drop));
            tokio::time::sleep(TYPING).await;
            tolerate(bot.say(heard.room, answer).await.map(drop));
        }
    }
    Ok(())
}

/// Scripts answer people, never each other.
fn is_addressed(heard: &Heard) -> bool {
    heard.handle != "bob" && heard.handle != "cleo"
}

/// A demo goes on when one answer could not be given.
fn tolerate(result: Result<(), CommandError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a scripted answer was not given");
    }
}
