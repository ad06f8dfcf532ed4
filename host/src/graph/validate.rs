//! Checks what a plugin described and makes a [`Graph`] of it. Nothing the plugin says is trusted.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::error::GraphError;
use super::join;
use super::node::{
    Compression, DescribedNode, FileFormat, Graph, JoinKind, NODES_MAX, Node, Operation, ParameterValue,
    ParquetOptions, StorageLevel,
};
use crate::data::columns;
use crate::data::schema::{RecordType, SchemaError};
use crate::ids::NodeId;
use crate::shown::escape_control;
use crate::time::{Duration, Time, whole_ms};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The longest name or kind that is accepted, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The most streams that a node may read.
const PARENTS_MAX: usize = 100;
/// The most partitions that a shuffle may ask for.
const PARTITIONS_MAX: i64 = 4096;

/// The longest window or slide that is accepted, and the longest way back through windows of windows: a hundred years of
/// 365 days. What is computed with it stays far from the ends of all types.
pub(super) const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What is needed to report a problem of one node.
struct Subject<'a> {
    position: usize,
    described: &'a DescribedNode,
}

impl Subject<'_> {
    fn name(&self) -> String {
        let kind: String = self.described.kind.escape_default().take(NAME_BYTES_MAX).collect();
        format!("`{kind}` (node {})", self.position)
    }

    fn error(&self, problem: impl Into<String>) -> GraphError {
        GraphError::Node { subject: self.name(), problem: problem.into() }
    }

    fn record_type(&self, what: &str, fields: &[crate::data::schema::Field]) -> Result<RecordType, GraphError> {
        let parsed: Result<RecordType, SchemaError> = RecordType::parse(fields.to_vec());
        parsed.map_err(|error| self.error(format!("its {what} have no valid type: {error}")))
    }

    fn integer(&self, name: &str) -> Option<i64> {
        self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::Integer(n) if key == name => Some(*n),
            _ => None,
        })
    }

    fn flag(&self, name: &str) -> bool {
        self.described.parameters.iter().any(|(key, value)| key == name && *value == ParameterValue::Flag(true))
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, GraphError> {
        let span = self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::DurationMs(ms) if key == name => Some(Duration::from_millis(*ms)),
            _ => None,
        });
        match span {
            Some(span) if span > SPAN_MAX => {
                Err(self.error(format!("its {name} of {} ms is more than 100 years", whole_ms(span))))
            }
            span => Ok(span),
        }
    }

    fn path(&self) -> Result<String, GraphError> {
        self.text("path").map(str::to_owned).ok_or_else(|| self.error("it has no parameter `path`"))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::Text(text) if key == name => Some(text.as_str()),
            _ => None,
        })
    }
}

impl Graph {
    /// Checks the nodes that a plugin described.
    ///
    /// # Errors
    /// Everything that is wrong, at least one problem.
    pub fn from_described(described: &[DescribedNode]) -> Result<Self, Vec<GraphError>> {
        if described.len() > NODES_MAX {
            return Err(vec![GraphError::TooLong(described.len())]);
        }
        let mut nodes = Vec::with_capacity(described.len());
        let mut errors = Vec::new();
        for (position, described) in described.iter().enumerate() {
            let before = |id: u32| nodes.get(id as usize).map(Option::as_ref);
            match check_node(&Subject { position, described }, &before) {
                Ok(node) if node.operation.is_of_data_set() => {
                    errors.push(Subject { position, described }.error("it is for data sets in a driver function only"));
                    nodes.push(None);
                }
                Ok(node) => nodes.push(Some(node)),
                Err(error) => {
                    // A node that stands on a broken one is not a problem of its own.
                    errors.extend(error);
                    nodes.push(None);
                }
            }
        }
        let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
        errors.extend(duplicate_names(&nodes));
        let graph = Self { nodes, calls: Vec::new() };
        if errors.is_empty() && graph.outputs().next().is_none() {
            errors.push(GraphError::NoOutput);
        }
        if errors.is_empty() { Ok(graph) } else { Err(errors) }
    }
}

fn duplicate_names(nodes: &[Node]) -> Vec<GraphError> {
    let mut seen = BTreeMap::new();
    let mut errors = Vec::new();
    for node in nodes {
        if let Some(name) = &node.name
            && let Some(first) = seen.insert(name, node.id)
        {
            let problem = format!("the name `{name}` is already that of node {first}");
            errors.push(GraphError::Node { subject: format!("`{}` (node {})", node.kind, node.id), problem });
        }
    }
    errors
}

/// The nodes that a node may read, by id: `None` if there is no such node, `Some(None)` if it is broken.
type Before<'a> = &'a dyn Fn(u32) -> Option<Option<&'a Node>>;

/// Checks one node that a driver function made, against the ones it may read.
pub(super) fn check_made<'a>(
    position: usize,
    described: &DescribedNode,
    before: &'a dyn Fn(u32) -> Option<Option<&'a Node>>,
) -> Result<Node, GraphError> {
    let subject = Subject { position, described };
    let node = check_node(&subject, before)
        .map_err(|error| error.unwrap_or_else(|| subject.error("it reads a node that is broken")))?;
    match node.operation {
        Operation::Source { .. }
        | Operation::Window { .. }
        | Operation::Transform
        | Operation::ForeachRdd
        | Operation::SaveAsFiles { .. }
        | Operation::Print { .. } => {
            Err(subject.error("it is for streams only, not for a data set in a driver function"))
        }
        _ => Ok(node),
    }
}

/// Checks one node against the ones before it. `Err(None)`: it stands on a node that was already reported.
fn check_node(subject: &Subject<'_>, before: Before<'_>) -> Result<Node, Option<GraphError>> {
    let described = subject.described;
    for text in described.name.iter().chain([&described.kind]) {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let problem = format!("a name or kind is {} bytes long, not 1 to {NAME_BYTES_MAX}", text.len());
            return Err(Some(subject.error(problem)));
        }
        check_printable(subject, text).map_err(Some)?;
    }
    let mut parents = Vec::new();
    for &parent in &described.parents {
        match before(parent) {
            Some(Some(node)) => parents.push(node),
            Some(None) => return Err(None),
            None => return Err(Some(subject.error(format!("it reads node {parent}, which does not stand before it")))),
        }
    }
    let operation = operation(subject, &parents)?;
    let is_output = operation.is_output();
    let rows = if is_output { None } else { Some(subject.record_type("rows", &described.rows)?) };
    let exchanged = match (&operation, &described.exchanged) {
        (Operation::Aggregate { .. } | Operation::Repartition { .. } | Operation::Sort { .. }, Some(fields)) => {
            Some(subject.record_type("exchanged rows", fields)?)
        }
        (Operation::Aggregate { .. } | Operation::Repartition { .. } | Operation::Sort { .. }, None) => {
            return Err(Some(subject.error("it shuffles, but exchanges no rows")));
        }
        (_, Some(_)) => return Err(Some(subject.error("it exchanges rows, but has no shuffle of its own"))),
        (_, None) => None,
    };
    check_types(subject, &operation, &parents, rows.as_ref(), exchanged.as_ref()).map_err(Some)?;
    let storage = match subject.text("persist") {
        None => None,
        Some(name) => {
            let level = StorageLevel::named(name);
            Some(level.ok_or_else(|| subject.error(format!("`{}` is no storage level", name.escape_debug())))?)
        }
    };
    let remember = subject.duration("remember").map_err(Some)?;
    if is_output && (storage.is_some() || remember.is_some()) {
        return Err(Some(subject.error("it is an output, and has no rows to keep")));
    }
    Ok(Node {
        id: NodeId(u32::try_from(subject.position).unwrap_or(u32::MAX)),
        kind: described.kind.clone(),
        name: described.name.clone(),
        parents: parents.iter().map(|node| node.id).collect(),
        operation,
        rows,
        exchanged,
        storage,
        remember,
    })
}

/// Names stand in messages, so none may contain what a terminal would act on.
fn check_printable(subject: &Subject<'_>, name: &str) -> Result<(), GraphError> {
    match escape_control(name) {
        Cow::Borrowed(plain) if !plain.contains(['\t', '\n']) => Ok(()),
        _ => Err(subject.error(format!("the name `{}` has control characters", name.escape_debug()))),
    }
}

/// Checks that the types of a node fit what it does. What a function takes and gives is the plugin's business.
fn check_types(
    subject: &Subject<'_>,
    operation: &Operation,
    parents: &[&Node],
    rows: Option<&RecordType>,
    exchanged: Option<&RecordType>,
) -> Result<(), GraphError> {
    let same_as_parents = |found: Option<&RecordType>| {
        let other = parents.iter().find(|parent| parent.rows.as_ref() != found);
        other.map_or(Ok(()), |other| {
            let (found, theirs) = (show(found), show(other.rows.as_ref()));
            Err(subject.error(format!("its rows are {found}, but those of {other} are {theirs}")))
        })
    };
    match operation {
        Operation::Aggregate { .. } | Operation::Sort { .. } if !exchanged.is_some_and(RecordType::is_pair) => {
            let problem = format!("it works by key, but the rows it exchanges are {}, not pairs", show(exchanged));
            Err(subject.error(problem))
        }
        Operation::Union | Operation::Window { .. } | Operation::Coalesce { .. } | Operation::Cache => {
            same_as_parents(rows)
        }
        Operation::Join { kind, .. } => join::check(*kind, parents, rows).map_err(|problem| subject.error(problem)),
        Operation::Repartition { .. } | Operation::Sort { .. } => {
            same_as_parents(rows).and_then(|()| same_as_parents(exchanged))
        }
        Operation::SaveAsFiles { format: FileFormat::Csv, .. }
        | Operation::SaveAsFile { format: FileFormat::Csv, .. } => {
            match parents.first().and_then(|parent| columns::nested(parent.rows.as_ref()?)) {
                Some((column, ty)) => Err(GraphError::Nested { subject: subject.name(), column, ty }),
                None => Ok(()),
            }
        }
        Operation::Load { format, .. } => rows.map_or(Ok(()), |rows| check_loaded(subject, *format, rows)),
        _ => Ok(()),
    }
}

/// Checks that files of a format can hold rows.
fn check_loaded(subject: &Subject<'_>, format: FileFormat, rows: &RecordType) -> Result<(), GraphError> {
    if format == FileFormat::Text {
        let problem = || subject.error(format!("it gives lines of text, not {rows}"));
        return if *rows == RecordType::text() { Ok(()) } else { Err(problem()) };
    }
    if let Some(opaque) = rows.opaque() {
        let ty = opaque.escape_debug();
        return Err(
            subject.error(format!("`{ty}` is a type of the plugin's own, whose bytes only the plugin can read"))
        );
    }
    match columns::nested(rows) {
        Some((column, ty)) if format == FileFormat::Csv => {
            Err(GraphError::Nested { subject: subject.name(), column, ty })
        }
        _ => Ok(()),
    }
}

fn show(ty: Option<&RecordType>) -> String {
    ty.map_or_else(String::new, ToString::to_string)
}

fn operation(subject: &Subject<'_>, parents: &[&Node]) -> Result<Operation, GraphError> {
    let described = subject.described;
    let expected_parents = match described.kind.as_str() {
        "source" | "slice" => 0..=0,
        kind if FileFormat::of_loader(kind).is_some() => 0..=0,
        "union" | "cogroup" => 2..=PARENTS_MAX,
        "join" | "left_outer_join" | "right_outer_join" | "full_outer_join" => 2..=2,
        "transform" => 1..=PARENTS_MAX,
        _ => 1..=1,
    };
    let join = |kind| partitions(subject).map(|partitions| Operation::Join { kind, partitions });
    let operation = match described.kind.as_str() {
        "source" => {
            let source = subject.text("source").ok_or_else(|| subject.error("it has no parameter `source`"))?;
            check_printable(subject, source)?;
            Operation::Source { source: source.to_owned() }
        }
        "map"
        | "flat_map"
        | "filter"
        | "map_partitions"
        | "map_partitions_with_index"
        | "glom"
        | "map_values"
        | "flat_map_values"
        | "keys"
        | "values"
        | "key_by"
        | "sample"
        | "foreach_partition"
        | "zip_with_index"
        | "count_partition"
        | "reduce_partition"
        | "aggregate_partition" => Operation::Narrow,
        "union" => Operation::Union,
        "reduce_by_key" | "group_by_key" | "combine_by_key" | "aggregate_by_key" | "count_by_value" | "count"
        | "reduce" | "distinct" | "group_by" | "intersection" | "subtract" => {
            Operation::Aggregate { partitions: partitions(subject)? }
        }
        "coalesce" => {
            let partitions = partitions(subject)?;
            Operation::Coalesce {
                partitions: partitions.ok_or_else(|| subject.error("it has no parameter `partitions`"))?,
            }
        }
        "sort" => Operation::Sort { descending: subject.flag("descending") },
        "cache" => Operation::Cache,
        "transform" => Operation::Transform,
        "foreach_rdd" => Operation::ForeachRdd,
        "repartition" => {
            let partitions = partitions(subject)?;
            Operation::Repartition {
                partitions: partitions.ok_or_else(|| subject.error("it has no parameter `partitions`"))?,
            }
        }
        "join" => join(JoinKind::Inner)?,
        "left_outer_join" => join(JoinKind::LeftOuter)?,
        "right_outer_join" => join(JoinKind::RightOuter)?,
        "full_outer_join" => join(JoinKind::FullOuter)?,
        "cogroup" => join(JoinKind::CoGroup)?,
        "window" => {
            let length = subject.duration("length")?.ok_or_else(|| subject.error("it has no parameter `length`"))?;
            Operation::Window { length, slide: subject.duration("slide")? }
        }
        "print" => {
            let rows = subject.integer("rows").ok_or_else(|| subject.error("it has no parameter `rows`"))?;
            let rows = u32::try_from(rows).map_err(|_| subject.error(format!("it prints {rows} rows")))?;
            Operation::Print { rows }
        }
        // Whether the job grants this path is not the graph's business.
        kind if let Some(format) = FileFormat::of_kind(kind) => {
            let prefix = subject.text("prefix").ok_or_else(|| subject.error("it has no parameter `prefix`"))?;
            let suffix = subject.text("suffix").unwrap_or_default();
            let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
            Operation::SaveAsFiles { format: with_options(subject, format)?, prefix, suffix }
        }
        kind if let Some(operation) = of_data_set(subject, kind) => operation?,
        _ => {
            let kind = described.kind.escape_default().take(NAME_BYTES_MAX).collect();
            return Err(GraphError::UnknownKind { node: subject.position, kind });
        }
    };
    if !expected_parents.contains(&parents.len()) {
        let expected = if expected_parents.end() == expected_parents.start() {
            expected_parents.start().to_string()
        } else {
            format!("{} to {}", expected_parents.start(), expected_parents.end())
        };
        return Err(subject.error(format!("it reads {} streams, not {expected}", parents.len())));
    }
    if let Some(output) = parents.iter().find(|parent| parent.rows.is_none()) {
        return Err(subject.error(format!("it reads {output}, which is an output")));
    }
    Ok(operation)
}

/// The format with the options that the node gives it.
fn with_options(subject: &Subject<'_>, format: FileFormat) -> Result<FileFormat, GraphError> {
    if !matches!(format, FileFormat::Parquet(_)) {
        return Ok(format);
    }
    let unknown = |name: &str, value: &str, known: &str| {
        Err(subject.error(format!("its `{name}` is `{}`, and this host knows {known}", value.escape_debug())))
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

/// An operation for driver functions only. Nothing for other kinds.
fn of_data_set(subject: &Subject<'_>, kind: &str) -> Option<Result<Operation, GraphError>> {
    if let Some(format) = FileFormat::of_action(kind) {
        let format = with_options(subject, format);
        return Some(format.and_then(|format| Ok(Operation::SaveAsFile { format, path: subject.path()? })));
    }
    if let Some(format) = FileFormat::of_loader(kind) {
        return Some(subject.path().map(|path| Operation::Load { format, path }));
    }
    let number = |name: &str| {
        let number = subject.integer(name).ok_or_else(|| subject.error(format!("it has no parameter `{name}`")))?;
        u64::try_from(number).map_err(|_| subject.error(format!("its `{name}` is {number}")))
    };
    let slice = || {
        let of = NodeId(u32::try_from(number("of")?).unwrap_or(u32::MAX));
        Ok(Operation::Slice { of, time: Time::from_ms(number("time")?) })
    };
    (kind == "slice").then(slice)
}

fn partitions(subject: &Subject<'_>) -> Result<Option<u32>, GraphError> {
    match subject.integer("partitions") {
        None => Ok(None),
        Some(n @ 1..=PARTITIONS_MAX) => Ok(u32::try_from(n).ok()),
        Some(n) => Err(subject.error(format!("it asks for {n} partitions, not 1 to {PARTITIONS_MAX}"))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::schema::Field;

    pub fn field(name: &str, kind: &str, children: u32) -> Field {
        Field { name: name.into(), kind: kind.into(), nullable: false, children, metadata: Vec::new() }
    }

    pub fn text() -> Vec<Field> {
        vec![field("value", "text", 0)]
    }

    pub fn pair() -> Vec<Field> {
        vec![field("value", "struct", 2), field("0", "text", 0), field("1", "u64", 0)]
    }

    /// What a cogroup of two streams of [`pair`] makes.
    pub fn cogrouped() -> Vec<Field> {
        let list = |name| [field(name, "list", 1), field("item", "u64", 0)];
        let mut fields = vec![field("value", "struct", 2), field("0", "text", 0), field("1", "struct", 2)];
        fields.extend(list("0"));
        fields.extend(list("1"));
        fields
    }

    pub fn node(kind: &str, parents: &[u32], rows: Vec<Field>) -> DescribedNode {
        let parameters = match kind {
            "source" => vec![("source".to_owned(), ParameterValue::Text("lines".to_owned()))],
            "print" => vec![("rows".to_owned(), ParameterValue::Integer(10))],
            "repartition" => vec![("partitions".to_owned(), ParameterValue::Integer(3))],
            "window" => vec![("length".to_owned(), ParameterValue::DurationMs(2000))],
            _ => Vec::new(),
        };
        let exchanged = matches!(kind, "reduce_by_key" | "repartition").then(|| rows.clone());
        DescribedNode { kind: kind.to_owned(), name: None, parents: parents.to_vec(), parameters, rows, exchanged }
    }

    pub fn problems(described: &[DescribedNode]) -> Vec<String> {
        Graph::from_described(described).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_graph_without_output_is_an_error() {
        let problem = "No output operations registered, so nothing to execute";
        assert_eq!(problems(&[node("source", &[], text())]), [problem]);
        assert_eq!(problems(&[]), [problem]);
    }

    #[test]
    fn each_mistake_is_named_once() {
        let mut named = node("map", &[0], text());
        named.name = Some("same".into());
        let graph = [
            node("source", &[], text()),
            named.clone(),
            named,
            node("shuffle_wildly", &[0], text()),
            node("map", &[3], text()),
            node("map", &[9], text()),
            node("map", &[6], text()),
            node("reduce_by_key", &[0], text()),
            node("print", &[0], Vec::new()),
            node("print", &[8], Vec::new()),
            node("map", &[], text()),
            node("map", &[0], vec![field("value", "quaternion", 0)]),
            node("union", &[0], text()),
            node("union", &[0, 0], pair()),
        ];
        let problems = problems(&graph);
        assert_eq!(problems[0], "node 3 is of the kind `shuffle_wildly`, which this host does not know");
        assert_eq!(problems[1], "`map` (node 5): it reads node 9, which does not stand before it");
        assert_eq!(problems[2], "`map` (node 6): it reads node 6, which does not stand before it");
        assert_eq!(
            problems[3],
            "`reduce_by_key` (node 7): it works by key, but the rows it exchanges are text, not pairs"
        );
        assert_eq!(problems[4], "`print` (node 9): it reads `print` (node 8), which is an output");
        assert_eq!(problems[5], "`map` (node 10): it reads 0 streams, not 1");
        assert!(problems[6].starts_with("`map` (node 11): its rows have no valid type: "), "{}", problems[6]);
        assert_eq!(problems[7], "`union` (node 12): it reads 1 streams, not 2 to 100");
        assert_eq!(problems[8], "`union` (node 13): its rows are (text, u64), but those of `source` (node 0) are text");
        assert_eq!(problems[9], "`map` (node 2): the name `same` is already that of node 1");
        assert_eq!(problems.len(), 10);
    }
}
