//! Serves the page of a job: listens, and answers until the page is closed.
//!
//! Owns the address, the token and the certificate of the page. All requests are served on one thread of its own, so that
//! the actors of the job never wait for a page.

use super::error::UiError;
use super::exhibit::{Shown, UiParts};
use super::live::Live;
use super::routes::Routes;
use crate::config::UiSettings;
use crate::env::Env;
use crate::http::{ServerLimits, Tls, Token, serve_all};
use crate::time::Duration;
use futures::future::join;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// The most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may do nothing, or leave an answer unread.
const PATIENCE: Duration = Duration::from_secs(15);
/// Any free port of this machine, for a page without an address in the job file.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The page of a job. Dropping the value ends it.
pub struct Ui {
    url: String,
    /// Closes the page.
    _open: watch::Sender<()>,
}

impl Ui {
    /// Listens at the address of the job file, or at a free port if it has none, and serves the page.
    ///
    /// # Errors
    /// If the token or the certificate cannot be read, or if nobody can listen at the address.
    pub async fn start(env: &Env, parts: UiParts) -> Result<Self, UiError> {
        let UiSettings { address, token, tls, .. } = parts.settings.clone();
        let subject = "the page of the job";
        let token = token.map(|secret| Token::read(env, subject, &secret)).transpose()?;
        let tls = tls.map(|files| Tls::read(&*env.disk, subject, &files)).transpose()?;
        let address = address.unwrap_or(ANY_PORT);
        let listener = env.network.listen(address).await.map_err(|error| UiError::Listen { address, error })?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.address());
        let (open, closed) = watch::channel(());
        let clock = env.clock.clone();
        let live = Live::new();
        let graph = serde_json::to_value(&parts.graph).unwrap_or_default();
        let shown = Arc::new(Shown { parts, graph, token, clock: clock.clone(), live: live.clone(), open: closed });
        let texts = live.run(shown.clone(), clock.clone());
        let limits = ServerLimits { connections: CONNECTIONS_MAX, patience: PATIENCE };
        let service = Arc::new(Routes { shown, scheme });
        let served = serve_all(listener, tls, service, clock, limits);
        let both = async move {
            join(served, texts).await;
        };
        env.background.spawn("page", Box::pin(both));
        Ok(Self { url, _open: open })
    }

    /// The URL of the page.
    pub fn url(&self) -> &str {
        &self.url
    }
}
