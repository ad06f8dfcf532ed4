//! Outputs that write the rows of each batch to a topic of Kafka.
//!
//! Owns when a batch is written, and which batches were written before. The rows wait in the storage of the job until all
//! of them are there, so that a task that runs again leaves nothing behind. The commit writes them, and can be repeated.
//!
//! With transactions, the mark of the last batch is in the same transaction as the batch. A new producer reads the mark
//! before the first batch is written. So a batch that runs again, whatever has happened to the first attempt, is written
//! once. Without transactions, a batch that runs again is written again, and each message has the same id.
//!
//! A run that shows results takes the transactional id over when it writes its first batch. From then on, no earlier owner
//! of the checkpoint directory and no earlier run of the job can write anything.

mod error;
mod mark;
mod messages;

use self::error::WriteError;
use self::mark::Mark;
use self::messages::BatchMessages;
use super::batch_rows::BatchRows;
use super::{BatchWrite, Output, OutputId, PartitionWriter};
use crate::block::{RowStorage, RowsWriter, StoredRows};
use crate::clients::kafka_client;
use crate::config::{Delivery, KafkaConnection};
use crate::data::schema::RecordType;
use crate::env::{Env, MessageProducer, ProduceError, ProducerPlace};
use crate::error::Error;
use crate::grants::GrantedTopic;
use crate::lock::lock;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An output that writes rows of one type to a topic.
pub(super) struct KafkaOutput(Arc<Shared>);

struct Shared {
    env: Env,
    /// The name of the output in messages.
    label: String,
    /// The beginning of the ids of all messages: the names of job and output.
    identity: String,
    connection: String,
    place: Place,
    ty: RecordType,
    storage: RowStorage,
    /// The producer that has written the last batch. `None` before the first batch, and after a failure.
    producer: Mutex<Option<Arc<dyn MessageProducer>>>,
}

/// Where the output writes. The secrets are read for each connection.
struct Place {
    settings: KafkaConnection,
    topic: String,
    transactional_id: Option<String>,
}

impl KafkaOutput {
    /// Makes an output. `label` is its name in messages. No server is asked for anything.
    pub(super) fn new(
        env: &Env,
        id: &OutputId,
        label: String,
        granted: &GrantedTopic<'_>,
        ty: RecordType,
        storage: RowStorage,
    ) -> Self {
        let settings = granted.settings.clone();
        let identity = format!("{}/{}", id.job, id.output);
        let transactional_id =
            (settings.delivery == Delivery::Transactional).then(|| match &settings.transactional_id {
                Some(prefix) => format!("{prefix}.{}", id.output),
                None => format!("millstream.{}.{}", id.job, id.output),
            });
        let place = Place { settings, topic: granted.topic.to_owned(), transactional_id };
        let (connection, producer) = (granted.connection.to_owned(), Mutex::default());
        Self(Arc::new(Shared { env: env.clone(), label, identity, connection, place, ty, storage, producer }))
    }
}

impl Output for KafkaOutput {
    fn begin(&self, batch: Time, zero: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let write = KafkaBatch { shared: self.0.clone(), mark: Mark { zero, batch }, rows: BatchRows::default() };
        Box::pin(async move { Ok(Arc::new(write) as Arc<dyn BatchWrite>) })
    }
}

struct KafkaBatch {
    shared: Arc<Shared>,
    mark: Mark,
    rows: BatchRows,
}

impl Shared {
    /// Connects a producer. `None` if the batch was written before.
    async fn connect(&self, mark: &Mark) -> Result<Option<Arc<dyn MessageProducer>>, WriteError> {
        let Place { settings, topic, transactional_id } = &self.place;
        let place = ProducerPlace {
            client: kafka_client(&self.env, &format!("connection `{}`", self.connection), &settings.client)?,
            topic: topic.clone(),
            transactional_id: transactional_id.clone(),
            timeout: settings.delivery_timeout,
        };
        let producer = self.env.message_producers.open(&place).await?;
        let is_written = producer.mark().and_then(|text| Mark::parse(&text)).is_some_and(|last| last.covers(mark));
        if is_written {
            tracing::info!(
                "output {}: batch {} was committed before, and is not written again",
                self.label,
                mark.batch
            );
            *lock(&self.producer) = Some(producer);
            return Ok(None);
        }
        Ok(Some(producer))
    }
}

impl KafkaBatch {
    async fn commit(&self, partitions: u32) -> Result<(), WriteError> {
        let shared = &self.shared;
        let mut rows = self.rows.all();
        // These are the rows of partitions that the last stage does not have.
        drop(rows.split_off(&partitions));
        if rows.is_empty() {
            return Ok(());
        }
        let before = lock(&shared.producer).take();
        let was_connected = before.is_some();
        let mut producer = match before {
            Some(producer) => producer,
            None => match shared.connect(&self.mark).await? {
                Some(producer) => producer,
                None => return Ok(()),
            },
        };
        let mut outcome = self.write(&*producer, &rows).await;
        if was_connected && matches!(outcome, Err(WriteError::Produce(ProduceError::Fenced(_)))) {
            // Another run of this job has had the transactional id since, as when a new plugin is brought back. The caller
            // has just checked that this run shows the batch.
            match shared.connect(&self.mark).await? {
                Some(again) => producer = again,
                None => return Ok(()),
            }
            outcome = self.write(&*producer, &rows).await;
        }
        outcome?;
        *lock(&shared.producer) = Some(producer);
        Ok(())
    }

    async fn write(&self, producer: &dyn MessageProducer, rows: &BTreeMap<u32, StoredRows>) -> Result<(), WriteError> {
        let Shared { identity, ty, storage, .. } = &*self.shared;
        let identity = format!("{identity}/{}", self.mark.batch.as_ms());
        let messages = BatchMessages::new(identity, rows.clone(), ty.clone(), storage.scratch())?;
        Ok(producer.write(Box::new(messages), &self.mark.to_string()).await?)
    }

    fn error(&self, error: &WriteError) -> Error {
        let Shared { label, connection, place, .. } = &*self.shared;
        error.of_output(label, self.mark.batch, &format!("topic `{}` of connection `{connection}`", place.topic))
    }
}

impl BatchWrite for KafkaBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let (shared, rows) = (self.shared.clone(), self.rows.clone());
        let taken = shared.storage.writer(1);
        let writer = KafkaWriter { shared, batch: self.mark.batch, partition, taken, rows };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.commit(partitions).await.map_err(|error| self.error(&error)) })
    }

    fn can_commit_again(&self) -> bool {
        true
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { drop(self.rows.take()) })
    }
}

struct KafkaWriter {
    shared: Arc<Shared>,
    batch: Time,
    partition: u32,
    taken: RowsWriter,
    rows: BatchRows,
}

impl PartitionWriter for KafkaWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let taken = if rows.num_rows() == 0 { Ok(()) } else { self.taken.append(0, rows) };
        let place = || format!("topic `{}` of connection `{}`", self.shared.place.topic, self.shared.connection);
        let taken = taken.map_err(|error| WriteError::from(error).of_output(&self.shared.label, self.batch, &place()));
        Box::pin(async { taken })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.rows.put(self.partition, self.taken.finish());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
