//! The records in messages of brokers: how messages become rows, and which messages are no records.
//!
//! Owns pure functions of the bytes of messages. Never reads a message from a broker.

mod kafka;

pub use kafka::{Form, Messages, Misfit};
