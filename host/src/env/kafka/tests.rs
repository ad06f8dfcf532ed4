//! A real broker for the contract of producers.

#[path = "../../../../tests/kafka/broker.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod broker;

pub(in super::super) use broker::Broker;
