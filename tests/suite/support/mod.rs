//! The code that tests of the whole program share: programs that are built on demand, jobs in a simulated world, the
//! real binary, saved files and topics as text, and servers: of S3, NATS and Kafka.

pub mod binary;
pub mod columns;
pub mod killer;
pub mod nats_server;
pub mod numbers;
pub mod outcome;
pub mod plugins;
pub mod received;
pub mod s3_server;
pub mod simulated;
pub mod terminal;
pub mod topics;
pub mod upgraded_job;
