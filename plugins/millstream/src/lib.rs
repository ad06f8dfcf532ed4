//! Write stream-processing plugins for the Millstream host.
//!
//! A program is a function that defines streams and outputs. [`plugin!`] makes a plugin of the function.
//!
//! ```
//! use millstream::*;
//!
//! fn build(ctx: &StreamingContext) {
//!     ctx.text_stream("lines")
//!         .flat_map(|line| line.split(' '))
//!         .map(|word| (word, 1u64))
//!         .reduce_by_key(|a, b| a + b)
//!         .print();
//! }
//! millstream::plugin!(build);
//! ```
//!
//! [`testing`] runs the same function as native code, without a host.

extern crate self as millstream;

mod accumulator;
mod action;
mod aggregate;
mod broadcast;
mod calendar;
pub mod chain;
#[doc(hidden)]
pub mod choice_key;
mod chunk;
mod combine;
mod context;
mod decimal;
mod driver;
mod dstream;
mod ends;
pub mod files;
mod flow;
mod fold;
mod graph;
mod ids;
mod join;
mod kafka;
mod kafka_message;
mod key;
mod kind;
mod load;
mod numbered;
mod offset_range;
pub mod offsets;
mod outcome;
mod output;
mod pair;
mod parquet;
mod pending;
mod persist;
mod place;
mod rdd;
mod record;
mod runtime;
mod sample;
mod save;
#[cfg(feature = "serde")]
#[doc(hidden)]
pub mod serde_key;
#[cfg(feature = "serde")]
mod serde_numbers;
mod state;
mod stateful;
mod statistics;
mod streams;
mod task;
mod temporal;
pub mod text;
mod time;
mod values;
mod variables;
mod window;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use accumulator::{CollectionAccumulator, DoubleAccumulator, LongAccumulator};
pub use broadcast::Broadcast;
pub use chain::Chain;
#[doc(hidden)]
pub use chain::Cut;
pub use context::StreamingContext;
pub use decimal::Decimal;
pub use flow::{DStream, Rdd};
pub use kafka::{KafkaHeader, KafkaRecord};
pub use kafka_message::KafkaMessage;
pub use key::Key;
pub use load::DriverContext;
pub use millstream_derive::{Key, Record};
#[doc(hidden)]
pub use outcome::Outcome;
pub use output::Output;
pub use parquet::{Compression, Parquet, U64Column};
pub use persist::StorageLevel;
pub use place::Partition;
pub use record::{Bytes, Record};
pub use runtime::{Level, log};
pub use state::{MapWithStateDStream, State, StateSpec};
pub use statistics::{Number, Stats};
pub use temporal::{Date, LocalDateTime, ParseError, TimeOfDay, Timestamp, unit};
pub use text::Text;
pub use time::Time;
pub use window::{Span, Window, batches, milliseconds, minutes, seconds};

#[doc(hidden)]
pub use wit_bindgen;

/// The names that derived code uses.
#[doc(hidden)]
pub mod __private {
    pub use crate::choice_key;
    pub use crate::chunk::{ChunkReader, ChunkWriter, Malformed};
    pub use crate::key::Key;
    #[cfg(feature = "serde")]
    pub use crate::record::serde;
    pub use crate::record::{Builder, Column, Field, Record, choice, read_group, write_group};
    #[cfg(feature = "serde")]
    pub use crate::serde_key;

    /// Compiles only if `T` is a record.
    pub const fn is_record<T: Record>() {}
    /// Compiles only if `T` is a key.
    pub const fn is_key<T: Key>() {}
}

/// Makes a plugin of a function that takes a [`StreamingContext`]. The function returns nothing, or a `Result` whose error
/// ends the job before it starts.
///
/// ```
/// use millstream::*;
///
/// fn build(ctx: &StreamingContext) -> Result<(), String> {
///     let level = ctx.arg("level").ok_or("the argument `level` says which lines to count")?;
///     ctx.text_stream("lines").filter(move |line| line.contains(&*level)).count().print();
///     Ok(())
/// }
/// millstream::plugin!(build);
/// ```
#[macro_export]
macro_rules! plugin {
    ($build:path) => {
        // The linkers of other targets cannot use the names of a component's exports.
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Plugin;
            impl $crate::guest::Program for Plugin {
                fn build(ctx: &$crate::StreamingContext) {
                    $crate::Outcome::report($build(ctx), ctx);
                }
            }
            type Exports = $crate::guest::Exports<Plugin>;
    $crate::bindings::export_plugin!(Exports with_types_in $crate::bindings);
        };
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&$crate::StreamingContext) = |ctx| $crate::Outcome::report($build(ctx), ctx);
    };
}
