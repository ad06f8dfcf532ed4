//! The network of a simulated machine: servers that follow a script, and listeners to which futures of the simulation
//! connect.
//!
//! Owns the addresses. Never loses or delays bytes on a connection to a listener: such faults belong to the client of a
//! test.

use super::local::Duplex;
use super::memory_disk::MemoryDisk;
use super::virtual_clock::{Sleep, VirtualClock};
use super::{Listener, Network};
use crate::lock::lock;
use crate::time::Duration;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// How many connections may wait until a listener accepts them.
const BACKLOG: usize = 128;
/// How many bytes may be on their way on a connection to a listener, in each direction.
const PIPE_BYTES: usize = 64 << 10;
/// The first port that stands for "any free port".
const FREE_PORTS: u16 = 49152;

/// What a scripted server does with one client.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The bytes that the server sends, each with the pause before it.
    pub sends: Vec<(Duration, Vec<u8>)>,
    /// Whether the server keeps the connection open after the last bytes.
    pub stays_open: bool,
}

/// The network. Clones are the same network.
#[derive(Clone)]
pub(super) struct SimulatedNetwork {
    clock: VirtualClock,
    disk: MemoryDisk,
    servers: Arc<Mutex<BTreeMap<String, VecDeque<Connection>>>>,
    listeners: Listeners,
}

type Listeners = Arc<Mutex<BTreeMap<SocketAddr, mpsc::Sender<Box<dyn Duplex>>>>>;

impl SimulatedNetwork {
    /// Makes the network of the machine with this disk. When the machine stops, nobody can connect any more.
    pub(super) fn new(clock: VirtualClock, disk: MemoryDisk) -> Self {
        Self { clock, disk, servers: Arc::default(), listeners: Arc::default() }
    }

    /// Adds a server that serves these connections, one after the other, and refuses further connections.
    pub(super) fn serve(&self, address: &str, connections: Vec<Connection>) {
        lock(&self.servers).insert(address.to_owned(), connections.into());
    }

    /// Connects to the listener at an address. `None` if nobody listens there.
    fn accepted(&self, address: &str) -> Option<Box<dyn Duplex>> {
        let address: SocketAddr = address.parse().ok()?;
        let listener = lock(&self.listeners).get(&address)?.clone();
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        listener.try_send(Box::new(theirs)).ok()?;
        Some(Box::new(ours))
    }

    fn connected(&self, address: &str) -> io::Result<Box<dyn Duplex>> {
        if self.disk.is_halted() {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        if let Some(connection) = self.accepted(address) {
            return Ok(connection);
        }
        let script = lock(&self.servers).get_mut(address).and_then(VecDeque::pop_front);
        let script = script.ok_or(io::ErrorKind::ConnectionRefused)?;
        let clock = self.clock.clone();
        Ok(Box::new(ScriptedStream { clock, script, wait: None, pending: VecDeque::new() }))
    }

    fn listening(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        if self.disk.is_halted() {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let mut listeners = lock(&self.listeners);
        let is_free = |address: &SocketAddr| listeners.get(address).is_none_or(mpsc::Sender::is_closed);
        let ports = if address.port() == 0 { FREE_PORTS..=u16::MAX } else { address.port()..=address.port() };
        let mut addresses = ports.map(|port| SocketAddr::new(address.ip(), port));
        let address = addresses.find(is_free).ok_or(io::ErrorKind::AddrInUse)?;
        let (connect, connections) = mpsc::channel(BACKLOG);
        listeners.insert(address, connect);
        Ok(Box::new(Listening { address, connections: AsyncMutex::new(connections) }))
    }
}

impl Network for SimulatedNetwork {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        Box::pin(std::future::ready(self.connected(address)))
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(std::future::ready(self.listening(address)))
    }
}

struct Listening {
    address: SocketAddr,
    connections: AsyncMutex<mpsc::Receiver<Box<dyn Duplex>>>,
}

impl Listener for Listening {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async {
            let next = self.connections.lock().await.recv().await;
            match next {
                Some(connection) => Ok(connection),
                // Another listener has taken over the address.
                None => std::future::pending().await,
            }
        })
    }
}

/// A connection that sends the bytes of the script at the times of the script. Bytes that are sent to it are dropped.
struct ScriptedStream {
    clock: VirtualClock,
    script: Connection,
    wait: Option<Sleep>,
    pending: VecDeque<u8>,
}

impl AsyncRead for ScriptedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.pending.is_empty() {
            let Some((delay, _)) = this.script.sends.first() else {
                return if this.script.stays_open { Poll::Pending } else { Poll::Ready(Ok(())) };
            };
            let wait = this.wait.get_or_insert_with(|| this.clock.sleep(*delay));
            if Pin::new(wait).poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.wait = None;
            this.pending.extend(this.script.sends.remove(0).1);
        }
        let count = buffer.remaining().min(this.pending.len());
        let bytes: Vec<u8> = this.pending.drain(..count).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ScriptedStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
