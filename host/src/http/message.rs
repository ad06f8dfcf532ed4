//! Requests and answers, as services see them.
//!
//! Owns the forms. Never reads or writes a connection.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::StatusCode;
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use std::convert::Infallible;

/// The head of a request: method, path and headers.
pub type Head = hyper::http::request::Parts;

/// The body of a request, in the pieces in which it comes.
pub struct Body(pub(super) Incoming);

/// The body of a request broke off, or is not valid.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BodyError(hyper::Error);

impl Body {
    /// The next piece. `None` at the end of the body.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.0.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    // Trailers say nothing that a service uses.
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(BodyError(error))),
            }
        }
    }
}

/// An answer.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, by names in lower case. A header whose value cannot be sent is left out.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub content: Content,
}

/// The body of an answer.
pub enum Content {
    /// All of it at once.
    Whole(Bytes),
    /// Pieces, as they come. The connection counts as busy until the last of them.
    Pieces(BoxStream<'static, Bytes>),
}

/// The body of an answer as it is sent.
pub(super) type Sent = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

impl Response {
    /// The answer in the form in which it is sent. `while_sent` is dropped when a body of pieces ends.
    pub(super) fn into_sent<T: Send + 'static>(self, while_sent: T) -> hyper::Response<Sent> {
        let body = match self.content {
            Content::Whole(bytes) => Either::Left(Full::new(bytes)),
            Content::Pieces(pieces) => Either::Right(StreamBody::new(
                pieces
                    .map(move |piece| {
                        let _ = &while_sent;
                        Ok(Frame::data(piece))
                    })
                    .boxed(),
            )),
        };
        let mut response = hyper::Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The head of a request to a path, with these headers.
#[cfg(test)]
pub(crate) fn head_of(method: hyper::Method, path: &str, headers: &[(&str, &str)]) -> Head {
    let request = hyper::Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}
