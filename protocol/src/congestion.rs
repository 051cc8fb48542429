//! How much of a conversation may be on its way: never less than when a connection begins.
//!
//! Owns the floor under the window of the usual controller (CUBIC), for server and client alike.
//! After an interruption a window of two packets is full of what was lost, and nothing new may leave
//! that would tell; the transport's own tries are then many seconds apart. What a chat has on its
//! way is less than any connection may send at its first moment (RFC 9002, 7.2), so this floor does
//! no path more harm than connecting again would.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};

/// Makes controllers with a floor; for `TransportConfig::congestion_controller_factory`.
#[derive(Debug, Default)]
pub struct Floored {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Floored {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(FlooredCubic { cubic: Arc::clone(&self.cubic).build(now, current_mtu) })
    }
}

struct FlooredCubic {
    cubic: Box<dyn Controller>,
}

impl fmt::Debug for FlooredCubic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlooredCubic").field("window", &self.window()).finish_non_exhaustive()
    }
}

impl Controller for FlooredCubic {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.cubic.initial_window())
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box() })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_interruption_leaves_the_window_of_a_new_connection() {
        let begun = Instant::now();
        let mut floored = Arc::new(Floored::default()).build(begun, 1_200);
        let mut bare = Arc::new(CubicConfig::default()).build(begun, 1_200);
        let first = floored.window();
        for controller in [&mut floored, &mut bare] {
            let now = begun + Duration::from_secs(10);
            controller.on_congestion_event(now, begun + Duration::from_secs(1), true, first);
        }
        assert!(bare.window() < first, "without the floor the window collapses");
        assert_eq!(floored.window(), first);
        assert_eq!(floored.clone_box().window(), first);
    }
}
