//! `doctor`: looks at everything a client needs, and says how to mend what is broken.

use std::path::Path;
use std::time::Duration;

use mathia_protocol::client::home::{Found, Joined, make_private_dir, write_private};
use mathia_protocol::client::{Command, ConnectionState, Replica};
use mathia_protocol::limits::CLOCK_SKEW_MAX;

use super::CommandContext;
use super::session::start_client;
use crate::exit::{Exit, Failure};
use crate::output::Line;

/// How long the server may take to answer.
const REACH_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes written to see whether a disk takes any: a message with its seals, and some.
const PROBE_LEN: usize = 64 * 1024;

/// What one look found.
struct Finding {
    name: &'static str,
    is_ok: bool,
    text: String,
    fix: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, is_ok: true, text: text.into(), fix: None }
    }

    fn broken(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, is_ok: false, text: text.into(), fix: Some(fix.into()) }
    }

    fn line(&self) -> Line {
        let sign = if self.is_ok { "ok " } else { "BAD" };
        let fix = self.fix.as_ref().map(|fix| format!("\n                 mend: {fix}"));
        let text = format!("{sign}  {:<11} {}{}", self.name, self.text, fix.unwrap_or_default());
        Line::new("check")
            .with("name", self.name)
            .with("is_ok", self.is_ok)
            .with("text", self.text.as_str())
            .with_some("fix", self.fix.as_deref())
            .text(text)
    }
}

pub(super) async fn run(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let mut findings = vec![
        directory("config", &context.paths.config_dir),
        directory("data", &context.paths.data_dir),
        directory("state", &context.paths.state_dir),
        terminal(|name| std::env::var(name).ok()),
    ];
    match context.paths.home().find() {
        Ok(Found::Joined(profile)) => {
            findings.push(Finding::ok(
                "keys",
                format!("{} at {}", profile.identity.handle, profile.address),
            ));
            findings.push(match profile.replica.check() {
                Ok(None) => Finding::ok("replica", "all pages fit together"),
                Ok(Some(text)) => Finding::broken("replica", text, REPLICA_FIX),
                Err(error) => Finding::broken("replica", error.to_string(), REPLICA_FIX),
            });
            findings.extend(network(context, *profile).await);
        }
        Ok(Found::Unfinished(begun, _)) => findings.push(Finding::broken(
            "keys",
            format!("a join as {} was never answered", begun.identity.handle),
            "run the same `mathia-tui join` again",
        )),
        Ok(Found::Nothing) => findings.push(Finding::ok("keys", "nobody joined with this profile")),
        Err(error) => {
            let failure = Failure::from(error);
            let fix = failure.hint.unwrap_or_default();
            findings.push(Finding::broken("keys", failure.message, fix));
        }
    }
    for finding in &findings {
        context.out.line(&finding.line())?;
    }
    match findings.iter().filter(|finding| !finding.is_ok).count() {
        0 => Ok(()),
        n => Err(Failure::new(Exit::Failed, format!("{n} of {} checks failed", findings.len()))),
    }
}

const REPLICA_FIX: &str =
    "check the disk; then move store.sqlite away and join again with the 24 words";

/// A directory must be there or makeable, private, and take a file.
fn directory(name: &'static str, path: &Path) -> Finding {
    let probe = path.join(".doctor");
    let tried = make_private_dir(path)
        .and_then(|()| write_private(&probe, &vec![0; PROBE_LEN]))
        .map(|()| drop(std::fs::remove_file(&probe)));
    match tried {
        Ok(()) => Finding::ok(name, path.display().to_string()),
        Err(error) => {
            let failure = Failure::from(error);
            let fix = failure.hint.unwrap_or_else(|| "make it a directory of your own".to_owned());
            Finding::broken(name, failure.message, fix)
        }
    }
}

fn terminal(var: impl Fn(&str) -> Option<String>) -> Finding {
    let term = var("TERM").unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| var(name).filter(|value| !value.is_empty()));
    let is_utf8 = locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    let colors = match var("COLORTERM").as_deref() {
        Some("truecolor" | "24bit") => "true color",
        _ if term.contains("256") => "256 colors",
        _ => "16 colors",
    };
    if !is_utf8 {
        return Finding::broken("terminal", "the locale is not UTF-8", "export LC_ALL=C.UTF-8");
    }
    match term.as_str() {
        "" => Finding::ok("terminal", "none: the commands work, the interactive client does not"),
        "dumb" => Finding::ok("terminal", "dumb: use the commands"),
        term if var("TMUX").is_some_and(|value| !value.is_empty()) => {
            let focus = "tmux tells when you look away after `set -g focus-events on`";
            Finding::ok("terminal", format!("{term}, {colors}; {focus}"))
        }
        term => Finding::ok("terminal", format!("{term}, {colors}")),
    }
}

/// Reaches the server over UDP, logs in, and compares clocks.
async fn network(context: &CommandContext<'_>, profile: Joined) -> Vec<Finding> {
    let address = profile.address.clone();
    let replica = profile.replica.clone();
    let (mut client, events) = match start_client(&context.paths, profile, context.prompt) {
        Ok(started) => started,
        Err(failure) => return vec![Finding::broken("network", failure.message, "see above")],
    };
    let settled = client.connection_where(|state| *state != ConnectionState::Connecting);
    let state = tokio::time::timeout(REACH_PATIENCE, settled).await;
    let mut findings = Vec::new();
    match state {
        Ok(Some(ConnectionState::Online { rtt, .. })) => {
            findings.push(Finding::ok("network", format!("{address} in {} ms", rtt.as_millis())));
            findings.push(clock(&replica));
        }
        Ok(Some(ConnectionState::Stopped { cause, .. })) => {
            findings.push(Finding::broken("network", cause, "nothing was sent"));
        }
        Ok(Some(ConnectionState::Offline { cause, .. })) => findings.push(Finding::broken(
            "network",
            format!("{address}: {cause}"),
            "is the server running, and does the firewall let UDP through?",
        )),
        _ => findings.push(Finding::broken(
            "network",
            format!("{address} does not answer"),
            "is the server running, and does the firewall let UDP through?",
        )),
    }
    drop(tokio::time::timeout(Duration::from_secs(2), client.run(Command::Stop)).await);
    drop(events);
    findings
}

/// Compares the clocks, as the login just now noted them.
fn clock(replica: &Replica) -> Finding {
    judge_skew(replica.clock_skew_ms().ok().flatten().unwrap_or(0))
}

fn judge_skew(ahead_ms: i64) -> Finding {
    let seconds = ahead_ms.unsigned_abs() / 1_000;
    let text = match (seconds, ahead_ms > 0) {
        (0, _) => "the same as the server's".to_owned(),
        (n, true) => format!("{n} s behind the server's"),
        (n, false) => format!("{n} s ahead of the server's"),
    };
    if Duration::from_millis(ahead_ms.unsigned_abs()) < CLOCK_SKEW_MAX {
        Finding::ok("clock", text)
    } else {
        Finding::broken("clock", text, "set this machine's clock: changes of rooms are refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_written_is_found_with_its_cure() {
        let root = tempfile::tempdir().unwrap();
        assert!(directory("data", &root.path().join("a/b")).is_ok);
        assert_eq!(std::fs::read_dir(root.path().join("a/b")).unwrap().count(), 0);
        std::fs::write(root.path().join("file"), "x").unwrap();
        let finding = directory("data", &root.path().join("file/b"));
        assert!(!finding.is_ok && finding.fix.is_some());
        assert!(finding.line().to_json().contains("\"is_ok\":false"));
    }

    #[test]
    fn a_clock_that_the_server_refuses_is_found() {
        assert!(judge_skew(-400).is_ok);
        let slow = judge_skew(3_600_000);
        assert!(!slow.is_ok && slow.text == "3600 s behind the server's");
        assert!(judge_skew(-20_000).is_ok && judge_skew(-20_000).text.starts_with("20 s ahead"));
    }

    #[test]
    fn a_terminal_without_utf8_is_found() {
        let with = |pairs: &'static [(&str, &str)]| {
            terminal(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(!with(&[("LANG", "de_DE.ISO-8859-1"), ("TERM", "xterm")]).is_ok);
        assert!(with(&[("LANG", "C.UTF-8"), ("TERM", "xterm-256color")]).text.contains("256"));
        assert!(with(&[]).is_ok);
    }
}
