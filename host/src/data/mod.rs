//! Rows: their declared type, their columns, and every form in which they leave or enter the host.
//!
//! Owns the type of a row, the flat layout that crosses the plugin boundary, the canonical encoding of keys, and how a
//! value is printed, saved, read from JSON and split from lines. Never knows a plugin, a stage or a batch: everything
//! here is a function of columns and their type.

pub mod checksum;
pub mod chunk;
pub mod columns;
pub mod csv;
mod decimal;
pub mod decoded_lines;
mod fixed;
pub mod json;
pub mod key;
pub mod lines;
pub mod loading;
pub mod message;
pub mod schema;
pub mod signed;
mod temporal;
pub mod text;
mod utf8;
pub mod view;
mod written;

pub use written::written_bytes_max;

#[cfg(test)]
pub(crate) mod arbitrary;
