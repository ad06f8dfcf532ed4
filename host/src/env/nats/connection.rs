//! A connection to a NATS server that is made once.
//!
//! Owns how long connecting may take, and the news that the connection is lost.

use super::super::{ConsumerPlace, Hidden, Login};
use crate::time::Duration;
use async_nats::{Client, ConnectOptions, Event};
use std::io;
use tokio::sync::watch;

/// How long to wait for one server.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long to wait for the answer to a request.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How often the server is asked whether it is there. After two questions without an answer, the connection is lost.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A connection.
pub(super) struct Connection {
    pub(super) client: Client,
    /// The reason for which the connection is lost. `None` as long as it is not.
    lost: watch::Receiver<Option<String>>,
}

/// Connects to one of the servers.
pub(super) async fn connect(place: &ConsumerPlace) -> io::Result<Connection> {
    let (lose, lost) = watch::channel(None);
    let options = match &place.login {
        None => ConnectOptions::new(),
        Some(Login::Password(user, Hidden(password))) => {
            ConnectOptions::with_user_and_password(user.clone(), password.clone())
        }
        Some(Login::Token(Hidden(token))) => ConnectOptions::with_token(token.clone()),
        // The library wants an end of the last line.
        Some(Login::Credentials(Hidden(credentials))) => ConnectOptions::with_credentials(&format!("{credentials}\n"))?,
        Some(Login::NkeySeed(Hidden(seed))) => ConnectOptions::with_nkey(seed.clone()),
    };
    let options = match &place.tls_ca {
        Some(path) => options.add_root_certificates(path.clone()),
        None => options,
    };
    let options = options
        .name(format!("millstream {}", place.consumer))
        .require_tls(place.tls)
        .connection_timeout(CONNECT_TIME)
        .request_timeout(Some(ANSWER_TIME))
        .ping_interval(PING_INTERVAL)
        // Each server once: the first attempt counts as well.
        .max_reconnects(place.servers.len())
        .event_callback(move |event| {
            let lose = lose.clone();
            async move {
                let reason = match event {
                    Event::Disconnected | Event::Closed => "the connection was closed".to_owned(),
                    Event::ServerError(error) => format!("the server says: {error}"),
                    Event::Connected
                    | Event::LameDuckMode
                    | Event::Draining
                    | Event::SlowConsumer(_)
                    | Event::ClientError(_) => return,
                };
                lose.send_if_modified(|lost| {
                    let is_news = lost.is_none();
                    if is_news {
                        *lost = Some(reason);
                    }
                    is_news
                });
            }
        });
    let scheme = if place.tls { "tls" } else { "nats" };
    let servers: Vec<String> = place.servers.iter().map(|server| format!("{scheme}://{server}")).collect();
    let client = async_nats::connect_with_options(servers, options).await.map_err(io::Error::other)?;
    Ok(Connection { client, lost })
}

impl Connection {
    /// The result of a future; an error if the connection is lost before.
    pub(super) async fn unless_lost<T>(&self, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut lost = self.lost.clone();
        let lost = async move {
            match lost.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => "the connection was closed".to_owned(),
            }
        };
        tokio::select! {
            biased;
            reason = lost => Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason)),
            result = future => result,
        }
    }
}
