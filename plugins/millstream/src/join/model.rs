//! Joins in the test harness: the rows that the host would give for a partition that fits into memory, made row by row.
//!
//! Owns no code that runs in a plugin.

use crate::chunk::Chunk;
use crate::flow::Flow;
use crate::graph::Joined;
use crate::key::Key;
use crate::record::{Builder, Column, Record, read_column, write_chunk};
use std::collections::{HashMap, HashSet};

/// Tells the harness how to make the rows of a joined stream.
pub(super) fn set<T: Record, C: crate::Chain<Out = T>, S>(stream: Flow<T, C, S>, joined: Joined) -> Flow<T, C, S> {
    stream.graph.change(stream.node, |node| node.code.joined = Some(joined));
    stream
}

/// The rows of one parent.
struct Side<K: Key, V: Record> {
    columns: Vec<<(K, V) as Record>::Column>,
    /// For each row: its chunk, and its index in the chunk.
    places: Vec<(usize, usize)>,
    keys: Vec<Vec<u8>>,
    rows: HashMap<Vec<u8>, Vec<usize>>,
}

impl<K: Key, V: Record> Side<K, V> {
    fn new(chunks: Option<Vec<Chunk>>) -> Self {
        let mut side = Self { columns: Vec::new(), places: Vec::new(), keys: Vec::new(), rows: HashMap::new() };
        for chunk in chunks.into_iter().flatten() {
            let (column, rows) =
                read_column::<(K, V)>(chunk).unwrap_or_else(|error| panic!("a chunk is malformed: {error}"));
            for row in 0..rows {
                let mut key = Vec::new();
                column.get(row).0.encode(true, &mut key);
                side.rows.entry(key.clone()).or_default().push(side.keys.len());
                side.keys.push(key);
                side.places.push((side.columns.len(), row));
            }
            side.columns.push(column);
        }
        side
    }

    fn get(&self, row: usize) -> (K, V) {
        let (chunk, row) = self.places[row];
        self.columns[chunk].get(row)
    }

    fn with_key(&self, key: &[u8]) -> &[usize] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    fn values(&self, key: &[u8]) -> Vec<V> {
        self.with_key(key).iter().map(|row| self.get(*row).1).collect()
    }
}

fn chunk<T: Record>(rows: Vec<T>) -> Vec<Chunk> {
    let mut builder = T::Builder::default();
    let count = rows.len();
    rows.into_iter().for_each(|row| builder.push(row));
    vec![write_chunk(&mut builder, count)]
}

/// Makes a join. `left` and `right` say what becomes of a value, or of a missing value (`None`). If one of them returns
/// `None`, the join gives no row.
pub(super) fn pairs<K: Key, V: Record, W: Record, A: Record, B: Record>(
    left: fn(Option<V>) -> Option<A>,
    right: fn(Option<W>) -> Option<B>,
) -> Joined {
    Box::new(move |chunks| {
        let mut chunks = chunks.into_iter();
        let (lefts, rights) = (Side::<K, V>::new(chunks.next()), Side::<K, W>::new(chunks.next()));
        let mut rows = Vec::new();
        let mut push = |key: K, value: Option<V>, other: Option<W>| {
            rows.extend(left(value).zip(right(other)).map(|pair| (key, pair)));
        };
        for (row, key) in lefts.keys.iter().enumerate() {
            let matches = rights.with_key(key);
            for found in matches {
                let (key, value) = lefts.get(row);
                push(key, Some(value), Some(rights.get(*found).1));
            }
            if matches.is_empty() {
                let (key, value) = lefts.get(row);
                push(key, Some(value), None);
            }
        }
        for (row, _) in rights.keys.iter().enumerate().filter(|(_, key)| lefts.with_key(key).is_empty()) {
            let (key, value) = rights.get(row);
            push(key, None, Some(value));
        }
        chunk(rows)
    })
}

/// Makes a cogroup of two streams.
pub(super) fn groups2<K: Key, V: Record, W: Record>() -> Joined {
    Box::new(|chunks| {
        let mut chunks = chunks.into_iter();
        let (a, b) = (Side::<K, V>::new(chunks.next()), Side::<K, W>::new(chunks.next()));
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        first(&a, &mut seen, |key, encoded| rows.push((key, (a.values(encoded), b.values(encoded)))));
        first(&b, &mut seen, |key, encoded| rows.push((key, (Vec::new(), b.values(encoded)))));
        chunk(rows)
    })
}

/// Makes a cogroup of three streams.
pub(super) fn groups3<K: Key, V: Record, W: Record, X: Record>() -> Joined {
    Box::new(|chunks| {
        let mut chunks = chunks.into_iter();
        let (a, b) = (Side::<K, V>::new(chunks.next()), Side::<K, W>::new(chunks.next()));
        let c = Side::<K, X>::new(chunks.next());
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        let mut push = |key, encoded: &[u8]| {
            rows.push((key, (a.values(encoded), b.values(encoded), c.values(encoded))));
        };
        first(&a, &mut seen, &mut push);
        first(&b, &mut seen, &mut push);
        first(&c, &mut seen, &mut push);
        chunk(rows)
    })
}

/// Calls `f` for each key of a side that is not in `seen` yet.
fn first<K: Key, V: Record>(side: &Side<K, V>, seen: &mut HashSet<Vec<u8>>, mut f: impl FnMut(K, &[u8])) {
    for (row, key) in side.keys.iter().enumerate() {
        if seen.insert(key.clone()) {
            f(side.get(row).0, key);
        }
    }
}
