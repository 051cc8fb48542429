//! The assistant as a child of the server: started, started again, and ended with it.
//!
//! The server never sees the child's keys. The child lives as long as its standard input is open: the
//! system closes it when this process ends, however it ends, so there are no orphans.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The first pause after the child ended.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A child that lived this long was well: the next pause is short again.
const GOOD_LIFE: Duration = Duration::from_mins(1);
/// How long a child may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// How the child is started.
#[derive(Debug, Clone)]
pub struct ChildPlan {
    /// Its data directory.
    pub data: PathBuf,
    /// The configuration, the server's own.
    pub config: Option<PathBuf>,
    /// Where the server listens, as the child reaches it.
    pub server: String,
}

/// Keeps the child running.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    is_ready: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the child, and starts it again whenever it ends.
    pub fn start(plan: ChildPlan) -> Self {
        let stop = CancellationToken::new();
        let (ready, is_ready) = watch::channel(false);
        let task = tokio::spawn(keep(plan, ready, stop.clone()));
        Self { stop, is_ready, task }
    }

    /// Waits until the child has reported that it is ready; `false` if it has not in time.
    pub async fn ready_within(&self, patience: Duration) -> bool {
        let mut is_ready = self.is_ready.clone();
        matches!(timeout(patience, is_ready.wait_for(|ready| *ready)).await, Ok(Ok(_)))
    }

    /// Ends the child and waits for that.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            warn!(%error, "the assistant's keeper ended badly");
        }
    }
}

async fn keep(plan: ChildPlan, ready: watch::Sender<bool>, stop: CancellationToken) {
    let mut pause = PAUSE_MIN;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        match spawn(&plan) {
            Ok(child) => live(child, &ready, &stop).await,
            Err(error) => warn!(%error, "the assistant cannot be started"),
        }
        if stop.is_cancelled() {
            return;
        }
        if begun.elapsed() > GOOD_LIFE {
            pause = PAUSE_MIN;
        }
        warn!(pause_ms = pause.as_millis(), "the assistant is started again after a pause");
        tokio::select! { () = sleep(pause) => {}, () = stop.cancelled() => return }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn spawn(plan: &ChildPlan) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("assistant").arg("--supervised").arg("--data").arg(&plan.data);
    command.arg("--server").arg(&plan.server);
    if let Some(config) = &plan.config {
        command.arg("--config").arg(config);
    }
    // Its log lines are the service's.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // Only this process notifies the service manager.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command.kill_on_drop(true).spawn()
}

/// Stays with one child until it ends, or is to end.
async fn live(mut child: Child, ready: &watch::Sender<bool>, stop: &CancellationToken) {
    // Held open as long as the child is to live.
    let input = child.stdin.take();
    let heard = child.stdout.take().map(|out| BufReader::new(out).lines());
    let listening = async {
        let Some(mut lines) = heard else { return };
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "ready" {
                info!("the assistant is there");
                ready.send_replace(true);
            }
        }
    };
    tokio::select! {
        status = child.wait() => match status {
            Ok(status) => warn!(%status, "the assistant ended"),
            Err(error) => warn!(%error, "the assistant ended"),
        },
        () = async { listening.await; std::future::pending::<()>().await } => {}
        () = stop.cancelled() => {
            drop(input);
            if timeout(END_PATIENCE, child.wait()).await.is_err() {
                warn!("the assistant does not end by itself");
                drop(child.kill().await);
            }
        }
    }
}
