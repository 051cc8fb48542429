//! Logs and metrics: structured, without anything secret, metrics on loopback only.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Longest request a scrape may send; the rest is ignored.
const SCRAPE_REQUEST_LEN_MAX: usize = 4 * 1024;
/// A scrape that takes longer than this is cut off.
const SCRAPE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts logging to standard error. `MATHIA_LOG` wins over the configuration.
///
/// # Errors
///
/// A sentence when the filter does not parse.
pub fn start_logging(settings: &LogSettings) -> Result<(), String> {
    let wanted = std::env::var("MATHIA_LOG").unwrap_or_else(|_| settings.level.clone());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| format!("log level {wanted:?} is not understood: {error}"))?;
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let on_terminal = io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(true);
    let as_json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !on_terminal && !under_systemd,
    };
    let started = if as_json {
        builder.json().flatten_event(true).try_init()
    } else if under_systemd {
        // The journal has its own clock.
        builder.without_time().with_ansi(false).try_init()
    } else {
        builder.with_ansi(on_terminal).try_init()
    };
    started.map_err(|error| error.to_string())
}

/// Starts collecting metrics.
///
/// # Errors
///
/// A sentence when a recorder is there already.
pub fn start_metrics() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new().install_recorder().map_err(|error| error.to_string())
}

/// Serves the metrics to Prometheus until stopped. Answers every request alike, one at a time.
///
/// # Errors
///
/// When the address cannot be bound.
pub async fn serve_metrics(
    address: SocketAddr,
    handle: PrometheusHandle,
    stop: CancellationToken,
) -> io::Result<()> {
    let subscriber = TcpListener::bind(address).await?;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = subscriber.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else { continue };
        let body = handle.render();
        let exchange = async {
            let mut request = vec![0; SCRAPE_REQUEST_LEN_MAX];
            let _n_read = stream.read(&mut request).await?;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.shutdown().await
        };
        if let Ok(Err(error)) = tokio::time::timeout(SCRAPE_TIMEOUT, exchange).await {
            tracing::debug!(%error, "a metrics scrape failed");
        }
    }
}
