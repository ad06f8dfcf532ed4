//! Requests of the host to servers, each on a connection of its own.
//!
//! Owns how long a request may take, and how much of an answer is read. Never tries again.

use super::message::Body;
use crate::env::{Clock, Network};
use crate::time::Duration;
use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use std::pin::pin;

/// The most bytes of an answer that are kept.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection can be made.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// The server did not answer in time.
    #[error("it does not answer within {0:?}")]
    TooSlow(Duration),
    /// The connection broke, or the answer is not HTTP.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The request has a header or a path that cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Unfit(#[from] hyper::http::Error),
}

/// A request with a body of JSON.
pub struct JsonRequest<'a> {
    /// The server, as `host:port`.
    pub server: &'a str,
    /// The path.
    pub path: &'a str,
    /// The value of the header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: String,
}

/// Sends a request with POST, and returns the status code and the beginning of the body of the answer.
///
/// # Errors
/// If there is no answer within `timeout`.
pub async fn post_json(
    network: &dyn Network,
    clock: &dyn Clock,
    request: JsonRequest<'_>,
    timeout: Duration,
) -> Result<(u16, String), RequestError> {
    tokio::select! {
        biased;
        answer = exchange(network, request) => answer,
        () = clock.sleep(timeout) => Err(RequestError::TooSlow(timeout)),
    }
}

async fn exchange(network: &dyn Network, request: JsonRequest<'_>) -> Result<(u16, String), RequestError> {
    let JsonRequest { server, path, authorization, body } = request;
    let head = hyper::Request::post(path).header(HOST, server).header(CONTENT_TYPE, "application/json");
    let head = authorization.into_iter().fold(head, |head, value| head.header("authorization", value));
    let request = head.body(Full::new(Bytes::from(body)))?;
    let connection = network.connect(server).await.map_err(RequestError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let (mut body, mut bytes) = (Body(answer.into_body()), Vec::new());
        while let Some(Ok(piece)) = body.next().await {
            let room = ANSWER_BYTES_MAX.saturating_sub(bytes.len());
            bytes.extend(piece.iter().take(room));
            if room == 0 {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    };
    // The connection has to be driven while the answer is waited for.
    match select(pin!(answered), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((ended, answered)) => {
            ended?;
            answered.await
        }
    }
}
