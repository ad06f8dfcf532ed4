//! Who may ask what: a pure decision about the head of a request.
//!
//! Owns the rules. Without a token, only programs of this machine are answered, and only if they name the host as such, so
//! that no page of another site can reach the job through the reader's browser. What changes the job needs a token.

use crate::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use crate::http::{Head, Method, Token};

/// What a path shows or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing about the job: the page without its data, and signs of life.
    Public,
    /// Something about the job.
    Data,
    /// It changes the job.
    Action,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The host is asked by a name that is not its own.
    ForeignHost,
    /// A page of another site asks.
    CrossSite,
    /// The method is another one.
    Method,
    /// The client does not know the token.
    Unauthorized,
    /// The job file names no token, so that nobody may change the job from here.
    NoToken,
}

impl Refusal {
    /// The status code.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::ForeignHost => 421,
            Self::CrossSite | Self::NoToken => 403,
            Self::Method => 405,
            Self::Unauthorized => 401,
        }
    }

    /// The words for the client.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::ForeignHost => "ask as localhost or 127.0.0.1, or set ui.token and send it",
            Self::CrossSite => "requests of pages of other sites are refused",
            Self::Method => "this path has another method",
            Self::Unauthorized => {
                "the request needs the header `Authorization: Bearer TOKEN` with the token of ui.token"
            }
            Self::NoToken => "set ui.token in the job file to stop the job from here; `host stop` works without",
        }
    }
}

/// Whether a request is refused. `token` is the token of the job file; `None` if it names none.
pub(super) fn refusal(head: &Head, kind: Kind, token: Option<&Token>, scheme: &str) -> Option<Refusal> {
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if is_read == (kind == Kind::Action) || !(is_read || head.method == Method::POST) {
        return Some(Refusal::Method);
    }
    let host = text(HOST.as_str());
    if token.is_none() && !host.is_some_and(is_this_machine) {
        return Some(Refusal::ForeignHost);
    }
    let is_navigation = kind == Kind::Public && text("sec-fetch-mode") == Some("navigate");
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) && !is_navigation {
        return Some(Refusal::CrossSite);
    }
    if let Some(origin) = text(ORIGIN.as_str())
        && host.is_none_or(|host| origin.split_once("://") != Some((scheme, host)))
    {
        return Some(Refusal::CrossSite);
    }
    match (kind, token) {
        (Kind::Public, _) | (Kind::Data, None) => None,
        (Kind::Action, None) => Some(Refusal::NoToken),
        (_, Some(token)) => {
            let is_known = token.is_known(head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes));
            (!is_known).then_some(Refusal::Unauthorized)
        }
    }
}

/// Whether the value of a header `Host` names this machine as only programs of this machine can.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
