//! The modules that the test suite and the programs beside it share.
//!
//! [`coverage`] reads the table that says which row of the feature checklist is shown by which test, [`parity`] shows
//! that table to readers, [`test_log`] reads what `cargo test` printed, [`markdown`] finds headings and links,
//! [`repository`] finds and reads files, [`programs`] builds plugins and the host, [`arguments`] reads the options of
//! benchmarks, [`live`] runs a host and [`events`] reads its events, [`http_client`] sends records, [`kafka_broker`] starts
//! a broker of Kafka, [`numbers`] has quantiles, and [`ranges`] divides a text among the threads of a native program. Nothing
//! here knows the host's code.

pub mod arguments;
pub mod coverage;
pub mod events;
pub mod http_client;
#[path = "../kafka/broker.rs"]
#[expect(missing_docs, reason = "the unit tests of the host have this module, too")]
pub mod kafka_broker;
pub mod live;
pub mod markdown;
pub mod numbers;
pub mod paced;
pub mod parity;
pub mod programs;
pub mod ranges;
pub mod repository;
pub mod test_log;
