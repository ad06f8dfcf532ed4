//! The shape of the servers that a client connects to.
//!
//! Owns the shape, its messages, and which servers are known to be on this machine. Never resolves a host name.

use std::net::IpAddr;

use super::report::{Report, Reported};
use super::shape::{Address, Shape};
use super::subject::Subject;
use super::tree::Node;

/// The shape of the addresses of servers, separated by commas.
pub(super) struct Servers;

impl Shape for Servers {
    type Value = Vec<String>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Vec<String>, Reported> {
        let text = subject.text(node, report)?;
        if text.contains('@') {
            // It may hold a password, which the message must not show.
            let message = format!("`{}` has an `@`: a user and a password do not stand with a server", subject.name());
            let help = "use the keys `user` and `password`, or another way to log in";
            return Err(report.error(&node.place, message, help.to_owned()));
        }
        let servers: Vec<String> = text.split(',').map(|server| server.trim().to_owned()).collect();
        match servers.iter().find_map(|server| Address::fault(server)) {
            None => Ok(servers),
            Some((fault, help)) => {
                Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
            }
        }
    }

    fn describe(&self) -> String {
        "string: host:port, several separated by commas".to_owned()
    }
}

/// Whether a server is known to be on this machine.
pub(super) fn is_here(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
