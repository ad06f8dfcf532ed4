//! The queue of records that the library has fetched of one partition.
//!
//! Owns the unsafe code of the host that speaks to the library. It is needed because the crate `rdkafka` does not say at
//! which offset a partition ends, and takes records out of a queue one by one.

use super::super::{LogRecord, TopicPartition};
use super::config::Context;
use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _, base_consumer::PartitionQueue as Signalled};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaHeaders, RDKafkaMessage, RDKafkaQueue};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use tokio::sync::Notify;

/// How many records are taken out of a queue at once.
const BATCH: usize = 512;

/// The queue of a partition.
pub(super) struct PartitionQueue {
    queue: NonNull<RDKafkaQueue>,
    /// Says when the queue is not empty any more.
    pub(super) filled: Arc<Notify>,
    /// Keeps the callback, and the consumer.
    _signalled: Signalled<Context>,
}

// SAFETY: the library's queues may be used from any thread.
unsafe impl Send for PartitionQueue {}
// SAFETY: the library locks its queues.
unsafe impl Sync for PartitionQueue {}

impl PartitionQueue {
    /// The queue of a partition. From now on, records of the partition come to no other queue. `None` if a topic cannot
    /// have such a name.
    pub(super) fn of(consumer: &Arc<BaseConsumer<Context>>, partition: &TopicPartition) -> Option<Self> {
        let mut signalled = consumer.split_partition_queue(&partition.topic, partition.number)?;
        let filled = Arc::new(Notify::new());
        let notify = filled.clone();
        signalled.set_nonempty_callback(move || notify.notify_one());
        let topic = CString::new(partition.topic.as_str()).ok()?;
        let client: &Client<Context> = consumer.client();
        // SAFETY: the client lives as long as `_signalled`, which holds the consumer. The name ends with a NUL.
        let queue =
            unsafe { bindings::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition.number) };
        Some(Self { queue: NonNull::new(queue)?, filled, _signalled: signalled })
    }

    /// Takes what the library has fetched, without waiting.
    pub(super) fn take(&self, into: &mut VecDeque<Fetched>) {
        let mut batch: [*mut RDKafkaMessage; BATCH] = [ptr::null_mut(); BATCH];
        // SAFETY: the queue lives as long as `self`, and the library writes at most `BATCH` pointers.
        let count =
            unsafe { bindings::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, batch.as_mut_ptr(), BATCH) };
        let count = usize::try_from(count).unwrap_or(0);
        into.extend(batch.iter().take(count).filter_map(|message| NonNull::new(*message)).map(Fetched));
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the library gave this reference to the queue, and nothing uses it any more.
        unsafe { bindings::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// A record or an event that the library has fetched. The library frees it when it is dropped.
pub(super) struct Fetched(NonNull<RDKafkaMessage>);

// SAFETY: a message belongs to whoever holds the pointer, on any thread.
unsafe impl Send for Fetched {}

/// What was fetched.
pub(super) enum Content<'a> {
    /// A record.
    Record(LogRecord<'a>),
    /// The partition has nothing more before this offset.
    End(i64),
    /// An error of the partition.
    Error(RDKafkaErrorCode, String),
}

impl Fetched {
    pub(super) fn content(&self) -> Content<'_> {
        // SAFETY: the pointer is valid until `self` is dropped, and nobody else has it.
        let message = unsafe { self.0.as_ref() };
        let error = RDKafkaErrorCode::from(message.err);
        match error {
            RDKafkaErrorCode::NoError => Content::Record(LogRecord {
                offset: message.offset,
                timestamp_ms: self.timestamp_ms(),
                key: bytes(message.key, message.key_len),
                value: bytes(message.payload, message.len),
                headers: self.headers(),
            }),
            RDKafkaErrorCode::PartitionEOF => Content::End(message.offset),
            error => {
                let said = bytes(message.payload, message.len).map(String::from_utf8_lossy).unwrap_or_default();
                Content::Error(error, format!("{error}: {said}"))
            }
        }
    }

    fn timestamp_ms(&self) -> Option<i64> {
        // SAFETY: the message is valid; the library takes no type if it is not asked for one.
        let timestamp = unsafe { bindings::rd_kafka_message_timestamp(self.0.as_ptr(), ptr::null_mut()) };
        (timestamp >= 0).then_some(timestamp)
    }

    fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        let mut found: *mut RDKafkaHeaders = ptr::null_mut();
        // SAFETY: the message is valid. The headers that the library gives belong to the message.
        let error = unsafe { bindings::rd_kafka_message_headers(self.0.as_ptr(), &raw mut found) };
        if RDKafkaErrorCode::from(error) != RDKafkaErrorCode::NoError || found.is_null() {
            return Vec::new();
        }
        let mut headers = Vec::new();
        loop {
            let (mut name, mut value, mut length): (*const c_char, *const c_void, usize) =
                (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are valid as long as the message, and the library writes to the three places.
            let error = unsafe {
                bindings::rd_kafka_header_get_all(found, headers.len(), &raw mut name, &raw mut value, &raw mut length)
            };
            if RDKafkaErrorCode::from(error) != RDKafkaErrorCode::NoError || name.is_null() {
                return headers;
            }
            // SAFETY: the library ends names with a NUL, and they live as long as the message.
            let name = unsafe { CStr::from_ptr(name) }.to_bytes();
            headers.push((name, bytes(value.cast_mut(), length)));
        }
    }
}

/// The bytes of a message. `None` if there are none, which is not the same as an empty text.
fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the library says where the bytes are, and how many. They live as long as the message; callers give the
    // lifetime of the message.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // SAFETY: the library gave the message to be freed by its taker, once.
        unsafe { bindings::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}
