//! Reads the tables `[connections.NAME]`.
//!
//! Owns the rules of these tables. Never reads a secret, and never decides which topic of a plugin is granted: see
//! `grants/topics.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use super::connection_settings::{ConnectionSettings, KafkaConnection};
use super::kafka_connection;
use super::keys::{self, ConnectionType};
use super::report::Reported;
use super::sections::{Reader, Section};
use super::tree::Table;

/// Reads all connections.
pub(super) fn read(
    root: &Table,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<BTreeMap<String, ConnectionSettings>, Reported> {
    let mut connections = BTreeMap::new();
    let mut fault = None;
    for (name, table) in reader.named(root, &keys::CONNECTIONS)? {
        match table.and_then(|table| read_connection(name, &table, directory, reader)) {
            Ok(connection) => drop(connections.insert(name.to_owned(), connection)),
            Err(reported) => fault = Some(reported),
        }
    }
    fault.map_or(Ok(connections), Err)
}

fn read_connection(
    name: &str,
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<ConnectionSettings, Reported> {
    let has_valid_name = reader.check_name(name, table, &keys::CONNECTIONS);
    let connection = match reader.table_type(table, &keys::CONNECTIONS, &keys::CONNECTION_TYPE)? {
        ConnectionType::Kafka => {
            let client = kafka_connection::read(table, &keys::CONNECTION_CLIENT, directory, reader);
            let topics = reader.read(table, &keys::CONNECTION_TOPICS);
            let delivery = reader.read(table, &keys::CONNECTION_DELIVERY);
            let transactional_id = reader.given(table, &keys::CONNECTION_TRANSACTIONAL_ID);
            let delivery_timeout = reader.read(table, &keys::CONNECTION_DELIVERY_TIMEOUT);
            ConnectionSettings::Kafka(KafkaConnection {
                client: client?,
                topics: topics?,
                delivery: delivery?,
                transactional_id: transactional_id?.map(|given| given.value),
                delivery_timeout: delivery_timeout?,
            })
        }
    };
    has_valid_name.map(|()| connection)
}
