//! The shape of the URL of a collector of OpenTelemetry.
//!
//! Owns the shape and its messages.

use super::report::{Report, Reported};
use super::settings::OtlpServer;
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The shape of the URL of a collector.
pub(super) struct CollectorUrl;

impl Shape for CollectorUrl {
    type Value = OtlpServer;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<OtlpServer, Reported> {
        let url = subject.text(node, report)?;
        let rest = url.strip_prefix("http://");
        let fault = match rest {
            None if url.starts_with("https://") => "has TLS, which the host does not speak to collectors",
            None => "does not begin with `http://`",
            Some(rest) => {
                let (address, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let has_port = address
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
                if !url.chars().all(|c| c.is_ascii_graphic()) || url.contains(['?', '#', '@']) {
                    "has a character that does not belong there"
                } else if !has_port {
                    "has no port"
                } else {
                    let path = path.trim_end_matches('/').to_owned();
                    return Ok(OtlpServer { address: address.to_owned(), path });
                }
            }
        };
        let help = format!(
            "name a collector as in `{} = \"http://127.0.0.1:4318\"`; a collector on this machine passes on with TLS",
            subject.key
        );
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: http://host:port".to_owned()
    }
}
