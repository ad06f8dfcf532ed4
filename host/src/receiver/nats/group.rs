//! The messages that become one block.
//!
//! Owns which messages are in the group: each message of the stream once, whatever the server delivers again.

use super::sequences::{Claim, Found, OfStream};
use crate::env::{Message, Receipt};
use std::sync::Arc;

/// Messages that become one block.
pub(super) struct Group {
    /// The messages that were not taken before.
    pub(super) messages: Vec<Message>,
    /// The right to store them.
    pub(super) claim: Claim,
    /// The deliveries of messages that are stored already: only their acknowledgements were lost.
    pub(super) again: Vec<Receipt>,
    /// The bytes of the messages.
    pub(super) bytes: usize,
}

impl Group {
    /// Makes an empty group of messages of a stream.
    pub(super) fn new(of: &Arc<OfStream>) -> Self {
        Self { messages: Vec::new(), claim: of.claim(), again: Vec::new(), bytes: 0 }
    }

    /// Adds what was delivered.
    pub(super) fn add(&mut self, delivered: Vec<Message>) {
        for message in delivered {
            match self.claim.look(message.sequence) {
                Found::New => {
                    self.bytes = self.bytes.saturating_add(message.payload.len());
                    self.messages.push(message);
                }
                Found::Stored => self.again.push(message.receipt),
                // It is acknowledged when its records are stored.
                Found::OnItsWay => {}
            }
        }
    }

    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.again.is_empty()
    }

    /// Takes the messages at these places out of the group, and frees them. The places are in order.
    pub(super) fn take_out(&mut self, places: &[usize]) -> Vec<Message> {
        let mut places = places.iter().copied().peekable();
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        for (at, message) in std::mem::take(&mut self.messages).into_iter().enumerate() {
            if places.next_if_eq(&at).is_some() {
                self.claim.free(message.sequence);
                out.push(message);
            } else {
                rest.push(message);
            }
        }
        self.messages = rest;
        out
    }
}
