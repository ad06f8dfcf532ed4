//! Makes the operation of a node from the node's kind and parameters.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::error::GraphError;
use super::super::kind::{Kind, Work};
use super::super::node::Node;
use super::super::operation::{Compression, FileFormat, Operation, ParquetOptions, StateForm, Stateful};
use super::subject::{NAME_BYTES_MAX, Subject, check_printable};
use crate::ids::NodeId;
use crate::shown;
use crate::time::Time;

/// The largest number of partitions that a shuffle may ask for.
const PARTITIONS_MAX: i64 = 4096;

/// Checks the kind, the parameters and the number of parents of a node.
pub fn operation(subject: &Subject<'_>, parents: &[&Node]) -> Result<Operation, GraphError> {
    let Some(kind) = Kind::named(&subject.described.kind) else {
        let kind = subject.described.kind.escape_default().take(NAME_BYTES_MAX).collect();
        return Err(GraphError::UnknownKind { node: subject.position, kind });
    };
    let operation = with_parameters(subject, kind.work)?;
    if !kind.parents.contains(&parents.len()) {
        let (least, most) = (kind.parents.start(), kind.parents.end());
        let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
        return Err(subject.error(format!("it reads {} streams, not {expected}", parents.len())));
    }
    if let Some(output) = parents.iter().find(|parent| parent.rows.is_none()) {
        return Err(subject.error(format!("it reads {output}, which is an output")));
    }
    Ok(operation)
}

/// Makes the operation of a node, with the values of its parameters.
fn with_parameters(subject: &Subject<'_>, work: Work) -> Result<Operation, GraphError> {
    let missing = |name: &str| subject.error(format!("it has no parameter `{name}`"));
    let some_partitions = || partitions(subject)?.ok_or_else(|| missing("partitions"));
    let number = |name: &str| {
        let number = subject.integer(name).ok_or_else(|| missing(name))?;
        u64::try_from(number).map_err(|_| subject.error(format!("its `{name}` is {number}")))
    };
    Ok(match work {
        Work::Source => {
            let source = subject.text("source").ok_or_else(|| missing("source"))?;
            check_printable(subject, source)?;
            Operation::Source { source: source.to_owned() }
        }
        Work::Narrow => Operation::Narrow,
        Work::Union => Operation::Union,
        Work::Aggregate => Operation::Aggregate { partitions: partitions(subject)? },
        Work::Coalesce => Operation::Coalesce { partitions: some_partitions()? },
        Work::Sort => Operation::Sort { descending: subject.flag("descending") },
        Work::Cache => Operation::Cache,
        Work::Transform => Operation::Transform,
        Work::ForeachRdd => Operation::ForeachRdd,
        Work::Repartition => Operation::Repartition { partitions: some_partitions()? },
        Work::Join(kind) => Operation::Join { kind, partitions: partitions(subject)? },
        Work::Window => {
            let length = subject.duration("length")?.ok_or_else(|| missing("length"))?;
            Operation::Window { length, slide: subject.duration("slide")? }
        }
        Work::State(form) => {
            let length = subject.duration("length")?;
            let window = match form {
                StateForm::Window => Some((length.ok_or_else(|| missing("length"))?, subject.duration("slide")?)),
                _ => None,
            };
            Operation::State(Stateful {
                form,
                partitions: partitions(subject)?,
                has_initial: subject.flag("initial"),
                timeout: if form == StateForm::Records { subject.duration("timeout")? } else { None },
                window,
                checkpoint: subject.duration("checkpoint")?,
            })
        }
        Work::StateSnapshots => Operation::StateSnapshots,
        Work::Print => {
            let rows = subject.integer("rows").ok_or_else(|| missing("rows"))?;
            let rows = u32::try_from(rows).map_err(|_| subject.error(format!("it prints {rows} rows")))?;
            Operation::Print { rows }
        }
        // The graph does not decide whether the job grants this path.
        Work::SaveAsFiles(format) => {
            let prefix = subject.text("prefix").ok_or_else(|| missing("prefix"))?;
            let suffix = subject.text("suffix").unwrap_or_default();
            let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
            Operation::SaveAsFiles { format: with_options(subject, format)?, prefix, suffix }
        }
        // Nor whether it grants this topic.
        Work::SaveToKafka => {
            let topic = subject.text("topic").ok_or_else(|| missing("topic"))?;
            Operation::SaveToKafka { topic: topic.to_owned() }
        }
        Work::SaveAsFile(format) => {
            Operation::SaveAsFile { format: with_options(subject, format)?, path: subject.path()? }
        }
        Work::Load(format) => Operation::Load { format, path: subject.path()? },
        Work::Slice => {
            let of = NodeId(u32::try_from(number("of")?).unwrap_or(u32::MAX));
            Operation::Slice { of, time: Time::from_ms(number("time")?) }
        }
        Work::Empty => Operation::Empty,
    })
}

/// The format, with the options that the node sets.
fn with_options(subject: &Subject<'_>, format: FileFormat) -> Result<FileFormat, GraphError> {
    if !matches!(format, FileFormat::Parquet(_)) {
        return Ok(format);
    }
    let unknown = |name: &str, value: &str, known: &str| {
        Err(subject.error(format!("its `{name}` is {}, and this host knows {known}", shown::name(value))))
    };
    let compression = match subject.text("compression") {
        None | Some("snappy") => Compression::Snappy,
        Some("zstd") => Compression::Zstd,
        Some(other) => return unknown("compression", other, "`snappy` and `zstd`"),
    };
    let u64_as_decimals = match subject.text("u64") {
        None | Some("int64") => false,
        Some("decimal") => true,
        Some(other) => return unknown("u64", other, "`int64` and `decimal`"),
    };
    Ok(FileFormat::Parquet(ParquetOptions { compression, u64_as_decimals }))
}

/// The number of partitions that the node asks for; `None` if it does not ask.
fn partitions(subject: &Subject<'_>) -> Result<Option<u32>, GraphError> {
    match subject.integer("partitions") {
        None => Ok(None),
        Some(n @ 1..=PARTITIONS_MAX) => Ok(u32::try_from(n).ok()),
        Some(n) => Err(subject.error(format!("it asks for {n} partitions, not 1 to {PARTITIONS_MAX}"))),
    }
}
