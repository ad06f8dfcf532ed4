//! What the host needs before it can connect to a server: secrets, and the settings of clients.
//!
//! Owns the step from a table of the job file to what a client of `env` is made of. Never connects to anything.

mod certificates;
mod kafka;
mod secret;

pub use certificates::fault_of_certificates;
pub use kafka::{KafkaClientError, kafka_client};
pub use secret::{Found, SecretError, read as read_secret};
