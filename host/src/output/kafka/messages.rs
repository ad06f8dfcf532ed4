//! The rows of a batch as messages, each with its id.
//!
//! Owns the header in which the id is, and the memory that writing takes: the queue of the client, and long rows as JSON.

use super::super::encoding::text_bytes;
use super::error::WriteError;
use crate::block::{Scratch, StoredRows};
use crate::data::message::{MessageReader, MessageText};
use crate::data::schema::RecordType;
use crate::env::{OutgoingMessage, OutgoingMessages, PRODUCER_QUEUE_BYTES, ProduceError, SendOne};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The name of the header with the id of a message: `JOB/OUTPUT/BATCH_MS/PARTITION/ROW`.
pub(super) const ID_HEADER: &str = "millstream-id";
/// About how many bytes a message takes in the queue of the client besides its row.
const MESSAGE_BYTES: u64 = 256;

/// The messages of a batch.
pub(super) struct BatchMessages {
    /// The names of job and output, and the time of the batch.
    identity: String,
    rows: BTreeMap<u32, StoredRows>,
    ty: RecordType,
    room: Scratch,
    /// The memory that the queue of the client may take.
    queue_bytes: usize,
}

impl BatchMessages {
    /// Makes the messages of these rows, which have this type. Takes the memory for writing them from `room`.
    pub(super) fn new(
        identity: String,
        rows: BTreeMap<u32, StoredRows>,
        ty: RecordType,
        mut room: Scratch,
    ) -> Result<Self, WriteError> {
        let sizes = rows.values().map(|rows| rows.bucket_size(0));
        let bytes: u64 = sizes.map(|size| size.bytes.saturating_add(size.rows.saturating_mul(MESSAGE_BYTES))).sum();
        let queue_bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(PRODUCER_QUEUE_BYTES);
        room.resize(queue_bytes)?;
        Ok(Self { identity, rows, ty, room, queue_bytes })
    }

    fn send_rows(&mut self, send: &mut SendOne<'_>) -> Result<(), WriteError> {
        let Self { identity, rows, ty, room, queue_bytes } = self;
        let (mut text, mut id) = (MessageText::default(), String::new());
        for (partition, rows) in rows {
            id.clear();
            // Writing to a string cannot fail.
            let _ = write!(id, "{identity}/{partition}/");
            let (beginning, mut number) = (id.len(), 0u64);
            for piece in rows.read(0) {
                let piece = piece?;
                room.resize(queue_bytes.saturating_add(text_bytes(&piece)))?;
                let reader = MessageReader::new(&piece, ty)?;
                for row in 0..piece.num_rows() {
                    id.truncate(beginning);
                    let _ = write!(id, "{number}");
                    number += 1;
                    let message = reader.read(row, &mut text)?;
                    let mut headers = message.headers;
                    headers.push((ID_HEADER, Some(id.as_bytes())));
                    send(&OutgoingMessage {
                        key: message.key,
                        value: message.value,
                        headers,
                        partition: message.partition,
                        timestamp_ms: message.timestamp_ms,
                    })?;
                }
            }
        }
        Ok(())
    }
}

impl OutgoingMessages for BatchMessages {
    fn send_all(&mut self, send: &mut SendOne<'_>) -> Result<(), ProduceError> {
        self.send_rows(send).map_err(|error| match error {
            WriteError::Produce(error) => error,
            other => ProduceError::Messages(other.into_error()),
        })
    }
}
