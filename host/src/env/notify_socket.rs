//! What a job tells the program that has started it: a service manager such as systemd, or a supervisor.
//!
//! Owns the socket to that program, in the protocol of `sd_notify`: each message is one datagram with lines such as
//! `READY=1`. Sending never waits. Never decides what is told, or when.

use crate::time::Duration;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// The variable that names the socket of the service manager.
pub(super) const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// The variable that holds the time, in microseconds, within which the service manager wants a sign of life.
pub(super) const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// The variable that names the process of which the service manager wants the sign of life.
pub(super) const WATCHDOG_PROCESS_VARIABLE: &str = "WATCHDOG_PID";

/// The way to the program that has started this one.
pub struct NotifySocket {
    socket: UnixDatagram,
    /// Where messages are sent. `None` if the socket is connected.
    address: Option<SocketAddr>,
}

impl NotifySocket {
    /// The service manager that `NOTIFY_SOCKET` names. `None` if there is no such variable.
    ///
    /// # Errors
    /// If the variable has no address of a Unix socket, or if the system refuses a socket.
    pub fn of_environment() -> io::Result<Option<Self>> {
        match std::env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty()) {
            None => Ok(None),
            Some(name) => Self::at(&name).map(Some),
        }
    }

    /// The service manager at an address: an absolute path, or `@` and an abstract name.
    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(Path::new(name))?,
            _ => return Err(io::Error::other("it is neither an absolute path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address: Some(address) })
    }

    /// The supervisor that has started this process, with a socket as standard input: see
    /// [`ChildProcess`](super::ChildProcess).
    ///
    /// # Errors
    /// If the system refuses a further number for the socket.
    pub fn of_supervisor() -> io::Result<Self> {
        let socket = UnixDatagram::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address: None })
    }

    /// Sends a message: lines without a final line end.
    ///
    /// # Errors
    /// If nobody is at the other end, or if the other end takes no message now.
    pub fn tell(&self, text: &str) -> io::Result<()> {
        match &self.address {
            Some(address) => self.socket.send_to_addr(text.as_bytes(), address),
            None => self.socket.send(text.as_bytes()),
        }
        .map(drop)
    }
}

/// The time within which the service manager wants a sign of life of this process again and again. `None` if it wants
/// none.
pub fn watchdog_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    interval(variable(WATCHDOG_VARIABLE).as_deref(), variable(WATCHDOG_PROCESS_VARIABLE).as_deref(), std::process::id())
}

/// The same for these values of the two variables and this process.
fn interval(microseconds: Option<&str>, process: Option<&str>, this: u32) -> Option<Duration> {
    let is_meant = process.is_none_or(|process| process.parse() == Ok(this));
    let interval = Duration::from_micros(microseconds?.parse().ok()?);
    (is_meant && !interval.is_zero()).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a message to a socket that is bound here, and returns what came.
    fn told(server: &UnixDatagram, name: &OsStr, text: &str) -> String {
        NotifySocket::at(name).unwrap().tell(text).unwrap();
        let mut bytes = [0; 64];
        let length = server.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_socket_with_a_path_gets_messages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let server = UnixDatagram::bind(&path).unwrap();
        assert_eq!(told(&server, path.as_os_str(), "READY=1\nSTATUS=running"), "READY=1\nSTATUS=running");
    }

    #[test]
    fn a_socket_with_an_abstract_name_gets_messages() {
        let name = format!("millstream-test-{}", std::process::id());
        let server = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert_eq!(told(&server, OsStr::new(&format!("@{name}")), "STOPPING=1"), "STOPPING=1");
    }

    #[test]
    fn other_addresses_are_refused_and_a_manager_that_is_gone_is_an_error() {
        for name in ["vsock:2:1234", "relative", ""] {
            assert!(NotifySocket::at(OsStr::new(name)).is_err(), "{name}");
        }
        let directory = tempfile::tempdir().unwrap();
        let nobody = NotifySocket::at(directory.path().join("notify").as_os_str()).unwrap();
        assert!(nobody.tell("READY=1").is_err());
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_is_named() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(interval(Some("1000000"), None, 7), second);
        assert_eq!(interval(Some("1000000"), Some("7"), 7), second);
        for (microseconds, process) in
            [(None, None), (Some("0"), None), (Some("x"), None), (Some("1000000"), Some("8"))]
        {
            assert_eq!(interval(microseconds, process, 7), None, "{microseconds:?} {process:?}");
        }
    }
}
