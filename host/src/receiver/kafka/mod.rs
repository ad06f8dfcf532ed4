//! A receiver of the records of topics of Kafka, as a member of a consumer group: the offset of a record is committed when the
//! host does not lose the record any more.
//!
//! Owns everything between a member of a group and [`ReceiverContext::take_block`]. A reliable receiver: see [`Receiver`].
//! Records that were stored, and whose offset was not committed before a crash, are recognised if there is a write-ahead
//! log. Never speaks to a broker itself: `env` does.

mod positions;
mod reading;

use self::positions::Positions;
use self::reading::Reading;
use super::Receiver;
use super::context::ReceiverContext;
use super::error::ReceiverError;
use super::registry::MakeReceiver;
use crate::config::KafkaReceiverSettings;
use crate::data::schema::RecordType;
use crate::env::{Env, KafkaPlace};
use crate::error::{Error, ErrorKind};
use crate::messages::Form;
use async_trait::async_trait;
use std::sync::Arc;

/// Makes receivers of the records of topics for the source `name`, whose records are of type `rows`.
///
/// # Errors
/// If messages do not have records of the type.
pub fn kafka(
    env: &Env,
    name: &str,
    settings: &KafkaReceiverSettings,
    place: &KafkaPlace,
    rows: &RecordType,
) -> Result<Arc<MakeReceiver>, Error> {
    let form = Form::of(settings.format, rows).map_err(|problem| {
        let message = format!("the plugin reads {rows} from source `{name}`, which messages do not give: {problem}");
        Error::new(ErrorKind::User, message).help(Form::HELP)
    })?;
    // It outlives a panic of the receiver.
    let positions = Arc::new(Positions::default());
    let (env, settings, place) = (env.clone(), settings.clone(), place.clone());
    Ok(Arc::new(move |_| {
        let (env, settings, place) = (env.clone(), settings.clone(), place.clone());
        Ok(Box::new(Kafka { env, settings, place, form: form.clone(), positions: positions.clone() }))
    }))
}

struct Kafka {
    env: Env,
    settings: KafkaReceiverSettings,
    place: KafkaPlace,
    form: Form,
    positions: Arc<Positions>,
}

#[async_trait]
impl Receiver for Kafka {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        self.positions.recall(context.known_keys());
        let KafkaReceiverSettings { topics, group, .. } = &self.settings;
        let member = tokio::select! {
            biased;
            () = context.stopped() => return Ok(()),
            member = self.env.kafka.join(&self.place, group, topics) => member,
        };
        let member = member.map_err(|error| {
            let servers = self.place.servers.join(", ");
            ReceiverError::new(format!("cannot join group `{group}` at {servers}: {error}"))
        })?;
        context.connected();
        Reading::new(&self.env, context, &self.settings, self.form.clone(), member, self.positions.clone()).run().await
    }
}
