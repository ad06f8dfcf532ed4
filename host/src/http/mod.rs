//! HTTP/1.1 for the parts of the host that serve clients: connections, TLS, tokens, and how long a client may do nothing.
//!
//! Owns the crates `hyper` and `tokio_rustls`: no other module names them. A [`Service`] answers the requests. Never
//! decides what an answer says.

mod client;
mod connection;
mod message;
mod server;
mod tls;
mod token;
mod watched;

pub use client::{JsonRequest, RequestError, post_json};
pub use hyper::{Method, header};
#[cfg(test)]
pub(crate) use message::head_of;
pub use message::{Body, BodyError, Content, Head, Response};
pub use server::{ServerLimits, serve_all};
pub use tls::{Tls, TlsError};
pub use token::Token;

use async_trait::async_trait;

/// Answers requests.
#[async_trait]
pub trait Service: Send + Sync {
    /// Answers a request. A connection whose request is being answered is not closed, so this must end.
    async fn answer(&self, head: Head, body: Body) -> Response;

    /// Resolves when no more requests are to be answered. May be awaited several times.
    async fn stopped(&self);
}

#[cfg(test)]
mod tests;
