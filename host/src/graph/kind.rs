//! The kinds of nodes that a plugin can describe, in one table: their names, how many nodes they read, their
//! operations, and whether they are quiet.
//!
//! The kinds of the SDK are in `plugins/millstream/src/kind.rs`. `tests/suite/node_kinds.rs` compares the two lists.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::operation::{Compression, FileFormat, JoinKind, ParquetOptions, StateForm};
use std::ops::RangeInclusive;

/// The most nodes that a node may read.
const PARENTS_MAX: usize = 100;

const NONE: RangeInclusive<usize> = 0..=0;
const ONE: RangeInclusive<usize> = 1..=1;
const TWO: RangeInclusive<usize> = 2..=2;
const SEVERAL: RangeInclusive<usize> = 2..=PARENTS_MAX;
const ANY: RangeInclusive<usize> = 1..=PARENTS_MAX;

const PARQUET: FileFormat =
    FileFormat::Parquet(ParquetOptions { compression: Compression::Snappy, u64_as_decimals: false });

/// The operation of a kind, without the values of a node's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Source,
    Narrow,
    Union,
    Aggregate,
    Repartition,
    Sort,
    Coalesce,
    Cache,
    Transform,
    Join(JoinKind),
    Window,
    State(StateForm),
    StateSnapshots,
    Print,
    ForeachRdd,
    SaveAsFile(FileFormat),
    Load(FileFormat),
    Slice,
    Empty,
    SaveAsFiles(FileFormat),
    SaveToKafka,
}

/// One row of the table.
#[derive(Debug)]
pub struct Kind {
    /// The name that plugins use.
    pub name: &'static str,
    /// How many nodes a node of this kind may read.
    pub(super) parents: RangeInclusive<usize>,
    /// The operation of the kind.
    pub(super) work: Work,
    /// Whether a node of this kind makes no rows and runs no driver function if its parents have no rows.
    pub(super) is_quiet: bool,
}

/// Makes a kind whose nodes make no rows if their parents have none.
const fn quiet(name: &'static str, parents: RangeInclusive<usize>, work: Work) -> Kind {
    Kind { name, parents, work, is_quiet: true }
}

/// Makes a kind whose nodes make rows even if their parents have none, or run a function that has effects.
const fn busy(name: &'static str, parents: RangeInclusive<usize>, work: Work) -> Kind {
    Kind { name, parents, work, is_quiet: false }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    quiet("source", NONE, Work::Source),
    quiet("map", ONE, Work::Narrow),
    quiet("flat_map", ONE, Work::Narrow),
    quiet("filter", ONE, Work::Narrow),
    quiet("map_values", ONE, Work::Narrow),
    quiet("flat_map_values", ONE, Work::Narrow),
    quiet("keys", ONE, Work::Narrow),
    quiet("values", ONE, Work::Narrow),
    quiet("key_by", ONE, Work::Narrow),
    quiet("sample", ONE, Work::Narrow),
    busy("map_partitions", ONE, Work::Narrow),
    busy("map_partitions_with_index", ONE, Work::Narrow),
    busy("glom", ONE, Work::Narrow),
    busy("foreach_partition", ONE, Work::Narrow),
    // Its rows come from the driver function.
    busy("parallelize", ONE, Work::Narrow),
    quiet("zip_with_index", ONE, Work::Narrow),
    busy("count_partition", ONE, Work::Narrow),
    quiet("reduce_partition", ONE, Work::Narrow),
    busy("aggregate_partition", ONE, Work::Narrow),
    quiet("union", SEVERAL, Work::Union),
    quiet("reduce_by_key", ONE, Work::Aggregate),
    quiet("group_by_key", ONE, Work::Aggregate),
    quiet("combine_by_key", ONE, Work::Aggregate),
    quiet("aggregate_by_key", ONE, Work::Aggregate),
    quiet("count_by_value", ONE, Work::Aggregate),
    quiet("distinct", ONE, Work::Aggregate),
    quiet("reduce", ONE, Work::Aggregate),
    // The count of no rows is a row.
    busy("count", ONE, Work::Aggregate),
    quiet("repartition", ONE, Work::Repartition),
    quiet("sort", ONE, Work::Sort),
    quiet("coalesce", ONE, Work::Coalesce),
    quiet("cache", ONE, Work::Cache),
    quiet("join", TWO, Work::Join(JoinKind::Inner)),
    quiet("left_outer_join", TWO, Work::Join(JoinKind::LeftOuter)),
    quiet("right_outer_join", TWO, Work::Join(JoinKind::RightOuter)),
    quiet("full_outer_join", TWO, Work::Join(JoinKind::FullOuter)),
    quiet("cogroup", SEVERAL, Work::Join(JoinKind::CoGroup)),
    quiet("window", ONE, Work::Window),
    // State is kept, times out and is saved, whether or not there is data.
    busy("update_state_by_key", ONE, Work::State(StateForm::Keys)),
    busy("update_state_by_partition", ONE, Work::State(StateForm::Partitions)),
    busy("map_with_state", ONE, Work::State(StateForm::Records)),
    busy("reduce_by_key_and_window_inverse", ONE, Work::State(StateForm::Window)),
    busy("state_snapshots", ONE, Work::StateSnapshots),
    busy("transform", ANY, Work::Transform),
    busy("foreach_rdd", ONE, Work::ForeachRdd),
    quiet("print", ONE, Work::Print),
    quiet("save_as_text_files", ONE, Work::SaveAsFiles(FileFormat::Text)),
    quiet("save_as_object_files", ONE, Work::SaveAsFiles(FileFormat::Arrow)),
    quiet("save_as_parquet_files", ONE, Work::SaveAsFiles(PARQUET)),
    quiet("save_as_csv_files", ONE, Work::SaveAsFiles(FileFormat::Csv)),
    quiet("save_as_json_files", ONE, Work::SaveAsFiles(FileFormat::Json)),
    quiet("save_to_kafka", ONE, Work::SaveToKafka),
    busy("save_as_text_file", ONE, Work::SaveAsFile(FileFormat::Text)),
    busy("save_as_object_file", ONE, Work::SaveAsFile(FileFormat::Arrow)),
    busy("save_as_parquet_file", ONE, Work::SaveAsFile(PARQUET)),
    busy("save_as_csv_file", ONE, Work::SaveAsFile(FileFormat::Csv)),
    busy("save_as_json_file", ONE, Work::SaveAsFile(FileFormat::Json)),
    busy("text_file", NONE, Work::Load(FileFormat::Text)),
    busy("parquet_file", NONE, Work::Load(PARQUET)),
    busy("csv_file", NONE, Work::Load(FileFormat::Csv)),
    busy("json_file", NONE, Work::Load(FileFormat::Json)),
    busy("slice", NONE, Work::Slice),
    quiet("empty", NONE, Work::Empty),
];

impl Kind {
    /// The kind of this name; `None` if there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// How the function of a stateful kind is called. `None` if the kind has no state.
    pub const fn state_form(&self) -> Option<StateForm> {
        if let Work::State(form) = self.work { Some(form) } else { None }
    }
}

impl JoinKind {
    /// The name of the kind of nodes that make this join.
    pub fn name(self) -> &'static str {
        let kind = KINDS.iter().find(|kind| kind.work == Work::Join(self));
        kind.map_or("join", |kind| kind.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_kind_stands_in_the_table_twice() {
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }

    #[test]
    fn a_join_is_found_by_its_name() {
        for name in ["join", "left_outer_join", "right_outer_join", "full_outer_join", "cogroup"] {
            let Some(Kind { work: Work::Join(kind), .. }) = Kind::named(name) else { panic!("{name} is no join") };
            assert_eq!(kind.name(), name);
        }
    }
}
