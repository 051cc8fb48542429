//! The network between the people and the server: passes datagrams on, as badly as it is told.
//!
//! Runs on a thread of its own, so that what it measures out is not delayed by those who talk. For
//! the server each person is one address, which a rebinding changes in the middle of a connection.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::Failure;
use crate::weather::{Fate, Fates, Weather};

const DATAGRAM_LEN_MAX: usize = 64 * 1024;
/// Datagrams from the server that wait to be judged; more are lost, as in any network.
const ARRIVALS_MAX: usize = 4_096;

/// What the network is told.
enum Order {
    Weather(Weather),
    /// Gives every person another address.
    Rebind(oneshot::Sender<()>),
}

/// What the network did so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) doubled: AtomicU64,
    pub(crate) overtaking: AtomicU64,
    pub(crate) cut: AtomicU64,
}

/// A running network.
pub(crate) struct Proxy {
    pub(crate) counts: Arc<Counts>,
    orders: mpsc::Sender<Order>,
}

impl Proxy {
    /// Takes an address; nothing passes before [`Prepared::start`] names the server.
    pub(crate) fn prepare(host: Ipv4Addr) -> Result<Prepared, Failure> {
        let front = std::net::UdpSocket::bind((host, 0))?;
        front.set_nonblocking(true)?;
        Ok(Prepared { address: front.local_addr()?, front })
    }

    pub(crate) async fn weather(&self, weather: Weather) -> Result<(), Failure> {
        self.orders.send(Order::Weather(weather)).await.map_err(|_| gone())
    }

    /// Changes the address of every person as the server sees it.
    pub(crate) async fn rebind(&self) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Rebind(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

fn gone() -> Failure {
    "the network in between has ended".into()
}

/// A network with an address, but nothing behind it yet.
pub(crate) struct Prepared {
    pub(crate) address: SocketAddr,
    front: std::net::UdpSocket,
}

impl Prepared {
    pub(crate) fn start(self, server: SocketAddr, seed: u64) -> Result<Proxy, Failure> {
        let (orders, inbox) = mpsc::channel(16);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let front = self.front;
        std::thread::Builder::new().name("netem".to_owned()).spawn(move || {
            // Ends with the orders; a socket that fails ends it too, and the next order says so.
            runtime.block_on(async move {
                drop(Network::run(front, server, seed, shared, inbox).await);
            });
        })?;
        Ok(Proxy { counts, orders })
    }
}

/// One person's way to the server.
struct Flow {
    person: SocketAddr,
    upstream: Arc<UdpSocket>,
    reader: AbortHandle,
    /// Nothing that keeps its place arrives before these: to the server, to the person.
    last_due: [Instant; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    ToServer,
    ToPerson,
}

/// On its way. Ordered by when it arrives, then by when it was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Travelling {
    due: Instant,
    serial: u64,
    flow: usize,
    way: Way,
    bytes: Vec<u8>,
}

struct Network {
    front: UdpSocket,
    server: SocketAddr,
    weather: Weather,
    fates: Fates,
    flows: Vec<Flow>,
    travelling: BinaryHeap<Reverse<Travelling>>,
    n_sent: u64,
    counts: Arc<Counts>,
    arrivals: mpsc::Sender<(usize, Vec<u8>)>,
}

impl Network {
    async fn run(
        front: std::net::UdpSocket,
        server: SocketAddr,
        seed: u64,
        counts: Arc<Counts>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), Failure> {
        let (arrivals, mut arrived) = mpsc::channel(ARRIVALS_MAX);
        let mut network = Self {
            front: UdpSocket::from_std(front)?,
            server,
            weather: Weather::FAIR,
            fates: Fates::new(StdRng::seed_from_u64(seed)),
            flows: Vec::new(),
            travelling: BinaryHeap::new(),
            n_sent: 0,
            counts,
            arrivals,
        };
        let mut buffer = vec![0; DATAGRAM_LEN_MAX];
        loop {
            network.deliver_due().await;
            let due = network.travelling.peek().map(|Reverse(next)| next.due);
            tokio::select! {
                order = orders.recv() => match order {
                    None => return Ok(()),
                    Some(Order::Weather(weather)) => network.weather = weather,
                    Some(Order::Rebind(answer)) => {
                        network.rebind().await?;
                        answer.send(()).map_err(|()| gone())?;
                    }
                },
                received = network.front.recv_from(&mut buffer) => {
                    // An error here is about an earlier datagram that nobody took.
                    if let Ok((len, person)) = received {
                        let flow = network.flow_of(person).await?;
                        network.send(flow, Way::ToServer, &buffer[..len]);
                    }
                }
                Some((flow, bytes)) = arrived.recv() => network.send(flow, Way::ToPerson, &bytes),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()),
                    if due.is_some() => {}
            }
        }
    }

    async fn flow_of(&mut self, person: SocketAddr) -> Result<usize, Failure> {
        if let Some(known) = self.flows.iter().position(|flow| flow.person == person) {
            return Ok(known);
        }
        let number = self.flows.len();
        let (upstream, reader) = self.connect(number).await?;
        let last_due = [Instant::now(); 2];
        self.flows.push(Flow { person, upstream, reader, last_due });
        Ok(number)
    }

    /// A socket towards the server with an address of its own.
    async fn connect(&self, flow: usize) -> io::Result<(Arc<UdpSocket>, AbortHandle)> {
        let upstream = UdpSocket::bind((self.front.local_addr()?.ip(), 0)).await?;
        upstream.connect(self.server).await?;
        let upstream = Arc::new(upstream);
        let (socket, arrivals) = (Arc::clone(&upstream), self.arrivals.clone());
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_LEN_MAX];
            loop {
                // A server that does not run makes the next receive fail, once.
                let Ok(len) = socket.recv(&mut buffer).await else { continue };
                drop(arrivals.try_send((flow, buffer[..len].to_vec())));
            }
        });
        Ok((upstream, reader.abort_handle()))
    }

    async fn rebind(&mut self) -> io::Result<()> {
        for number in 0..self.flows.len() {
            let (upstream, reader) = self.connect(number).await?;
            let flow = &mut self.flows[number];
            flow.reader.abort();
            (flow.upstream, flow.reader) = (upstream, reader);
        }
        Ok(())
    }

    fn send(&mut self, flow: usize, way: Way, bytes: &[u8]) {
        let fate = self.fates.next(&self.weather);
        let (after, overtakes, copy) = match fate {
            Fate::Cut => return count(&self.counts.cut),
            Fate::Lost => return count(&self.counts.lost),
            Fate::Arrives { after, overtakes, copy } => (after, overtakes, copy),
        };
        let now = Instant::now();
        let mut due = now + after;
        let last_due = &mut self.flows[flow].last_due[way as usize];
        if overtakes {
            count(&self.counts.overtaking);
        } else {
            due = due.max(*last_due);
            *last_due = due;
        }
        self.travel(due, flow, way, bytes);
        if let Some(copy) = copy {
            count(&self.counts.doubled);
            self.travel(now + copy, flow, way, bytes);
        }
    }

    fn travel(&mut self, due: Instant, flow: usize, way: Way, bytes: &[u8]) {
        self.n_sent += 1;
        let (serial, bytes) = (self.n_sent, bytes.to_vec());
        self.travelling.push(Reverse(Travelling { due, serial, flow, way, bytes }));
    }

    async fn deliver_due(&mut self) {
        while self.travelling.peek().is_some_and(|Reverse(next)| next.due <= Instant::now()) {
            let Some(Reverse(next)) = self.travelling.pop() else { return };
            // Cut while it was on its way.
            if self.weather.is_cut {
                count(&self.counts.cut);
                continue;
            }
            let flow = &self.flows[next.flow];
            let sent = match next.way {
                Way::ToServer => flow.upstream.send(&next.bytes).await,
                Way::ToPerson => self.front.send_to(&next.bytes, flow.person).await,
            };
            // Nobody there to take it: lost, as in any network.
            count(if sent.is_ok() { &self.counts.passed } else { &self.counts.lost });
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
