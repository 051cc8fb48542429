//! What the outside may know of a running server: counts, once a second, nothing about anybody.
//!
//! The parts count with plain numbers of their own; only this module knows the names of metrics.

use super::gate::{AttemptCounts, Gate};
use crate::hub::{DeliveryCounts, Hub};

/// Describes what [`report`] sets.
pub(super) fn describe() {
    metrics::describe_gauge!("mathia_sessions", "sessions logged in");
    metrics::describe_gauge!("mathia_accounts_online", "accounts with a session");
    metrics::describe_gauge!("mathia_connections", "connections, logged in or not");
    metrics::describe_counter!("mathia_batches_total", "transactions of the writer");
    metrics::describe_counter!("mathia_jobs_total", "changes asked for, done or refused");
    metrics::describe_counter!("mathia_batches_refused_total", "transactions rolled back");
    metrics::describe_counter!("mathia_signatures_sampled_total", "message signatures checked");
    metrics::describe_counter!("mathia_signatures_wrong_total", "devices that sign wrongly");
    metrics::describe_counter!("mathia_bodies_expired_total", "message bodies that have expired");
    metrics::describe_counter!("mathia_damage_found_total", "reads that met damaged data");
    metrics::describe_counter!("mathia_entries_spread_total", "log entries told to sessions");
    metrics::describe_counter!("mathia_deliveries_total", "log entries times sessions told");
    metrics::describe_counter!("mathia_knocks_total", "connection attempts by verdict");
    metrics::describe_counter!("mathia_connections_ended_total", "connections by how they ended");
}

/// Hands the present counts to whoever collects them.
pub(super) fn report(hub: &Hub, gate: &Gate) {
    metrics::gauge!("mathia_sessions").set(to_f64(hub.n_sessions()));
    metrics::gauge!("mathia_accounts_online").set(to_f64(hub.n_accounts()));
    metrics::gauge!("mathia_connections").set(gate.n_connections());
    let DeliveryCounts { n_entries, n_deliveries } = hub.delivery_counts();
    metrics::counter!("mathia_entries_spread_total").absolute(n_entries);
    metrics::counter!("mathia_deliveries_total").absolute(n_deliveries);
    let AttemptCounts { accepted, retried, ignored } = gate.knocks();
    metrics::counter!("mathia_knocks_total", "verdict" => "accepted").absolute(accepted);
    metrics::counter!("mathia_knocks_total", "verdict" => "retried").absolute(retried);
    metrics::counter!("mathia_knocks_total", "verdict" => "ignored").absolute(ignored);
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
