//! The shapes of values that only sources of type `http` have.
//!
//! Owns these shapes and their messages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::report::{Report, Reported};
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The shape of an address at which the host listens: an IP address and a port, which may be 0.
pub(super) struct ListenAddress;

impl Shape for ListenAddress {
    type Value = SocketAddr;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<SocketAddr, Reported> {
        let text = subject.text(node, report)?;
        let port_of_localhost = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        if let Some(port) = port_of_localhost {
            return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        }
        text.parse().map_err(|_| {
            let message = format!("{} is not an IP address and a port", subject.given(&node.raw));
            let help = "use 127.0.0.1:8080 for clients of this machine, 0.0.0.0:8080 for all machines; an IPv6 address \
                        stands in brackets";
            report.error(&node.place, message, help.to_owned())
        })
    }

    fn describe(&self) -> String {
        "string: IP address:port".to_owned()
    }
}

/// The shape of the path of a URL.
pub(super) struct UrlPath;

impl Shape for UrlPath {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let path = subject.text(node, report)?;
        let fault = if !path.starts_with('/') {
            "does not begin with `/`"
        } else if !path.chars().all(|c| c.is_ascii_graphic()) {
            "has a character that must be written as `%` and two digits"
        } else if path.contains(['?', '#']) {
            "has a `?` or a `#`, which end the path of a URL"
        } else {
            return Ok(path.to_owned());
        };
        let help = format!("write it as in `{} = \"/events\"`{}", subject.key, subject.default_note());
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: the path of a URL".to_owned()
    }
}
