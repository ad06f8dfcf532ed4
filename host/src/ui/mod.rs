//! The page of a job: what it does, live, in a browser; its REST interfaces and its metrics.
//!
//! Owns the model of a job that is made of its events, and everything that is shown of it. The model is filled by a
//! listener behind a queue, so that neither a page nor its readers ever make the job wait. Never changes the job: it hands
//! requests to stop to the code that started it.

mod answer;
mod assets;
mod batch_view;
mod date;
mod error;
mod exhibit;
mod graph_view;
mod guard;
mod health;
mod live;
mod metrics;
mod model;
mod monitor;
mod otlp;
mod prometheus;
mod query;
mod routes;
mod server;
mod spark;
mod views;

pub use error::UiError;
pub use exhibit::UiParts;
pub use monitor::{JobParts, KeptError, Monitor};
pub use otlp::Otlp;
pub use server::{ANY_PORT, Ui};
