//! Repeats what it is told, in every room it is added to.
//!
//! ```sh
//! cargo run -p mathia-protocol --features client --example echo_bot -- mathia://host:port/#... echo
//! ```
//!
//! Its keys live in memory: a new start is a new account. A bot that stays keeps its identity in a
//! key file and gives `Client::start` a replica on disk.

use std::error::Error;
use std::process::ExitCode;

use mathia_protocol::client::Bot;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(link), Some(name)) = (args.next(), args.next()) else {
        return ExitCode::from(2);
    };
    match echo(&link, &name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the bot ends");
            ExitCode::FAILURE
        }
    }
}

async fn echo(link: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let mut bot = Bot::join(link, name).await?;
    while let Some(heard) = bot.next().await {
        // Two echoes in one room must not talk for ever: only people who do not echo are echoed.
        if heard.text.starts_with("echo: ") {
            continue;
        }
        bot.say(heard.room, format!("echo: {}", heard.text)).await?;
    }
    Ok(())
}
