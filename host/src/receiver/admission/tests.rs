//! Records are let in once, in order, and at the rate of the receiver.

use super::*;
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use arrow::array::{Array as _, StringArray};
use proptest::prelude::*;
use std::sync::Arc;

fn rows(texts: &[String]) -> RecordBatch {
    let column = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).unwrap()
}

fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let column = |rows: &RecordBatch| rows.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
    let of = |rows: &RecordBatch| column(rows).iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>();
    rows.iter().flat_map(of).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// Lines as bytes, cut after this many bytes.
    Bytes(Vec<String>, usize),
    Line(String),
    Rows(Vec<String>),
    /// Time passes, in ms.
    Pass(u64),
    Limit(Option<u64>),
    Cut,
    ReleaseAll,
}

fn step() -> impl Strategy<Value = Step> {
    let texts = || prop::collection::vec("[a-z]{0,3}", 0..8);
    prop_oneof![
        (texts(), 0..20_usize).prop_map(|(lines, cut)| Step::Bytes(lines, cut)),
        "[a-z]{0,3}".prop_map(Step::Line),
        texts().prop_map(Step::Rows),
        (0..200_u64).prop_map(Step::Pass),
        prop::option::of(1..200_u64).prop_map(Step::Limit),
        Just(Step::Cut),
        Just(Step::ReleaseAll),
    ]
}

proptest! {
    /// Whatever comes and however long it waits, each record comes out once and in order.
    #[test]
    fn each_record_is_let_in_once_and_in_order(steps in prop::collection::vec(step(), 0..40)) {
        let mut now = Duration::ZERO;
        let mut generator = BlockGenerator::new("s", 0, Encoding::UTF_8, 100);
        let mut admission = Admission::new(Some(20), now);
        let (mut given, mut got) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Bytes(lines, cut) => {
                    let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
                    let (first, second) = bytes.as_bytes().split_at(cut.min(bytes.len()));
                    admission.accept(Records::Bytes(first), now, &mut generator);
                    admission.accept(Records::Bytes(second), now, &mut generator);
                    given.extend(lines);
                }
                Step::Line(line) => {
                    admission.accept(Records::Line(&line), now, &mut generator);
                    given.push(line);
                }
                Step::Rows(texts) => {
                    admission.accept(Records::Rows(rows(&texts)), now, &mut generator);
                    given.extend(texts);
                }
                Step::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    admission.release(now, &mut generator);
                }
                Step::Limit(limit) => admission.set_limit(limit, now),
                Step::Cut => got.extend(generator.cut().into_iter().flat_map(|block| texts(&block.rows))),
                Step::ReleaseAll => admission.release_all(&mut generator),
            }
        }
        admission.release_all(&mut generator);
        got.extend(generator.cut().into_iter().flat_map(|block| texts(&block.rows)));
        prop_assert_eq!(got, given);
    }

    /// A call is over when all its records are in, which takes as long as the rate says.
    #[test]
    fn calls_wait_as_long_as_the_rate_says(rate in 1..5000_u64, counts in prop::collection::vec(0..100_usize, 1..20)) {
        let mut now = Duration::ZERO;
        let mut generator = BlockGenerator::new("s", 0, Encoding::UTF_8, 100);
        let mut admission = Admission::new(Some(rate), now);
        for count in &counts {
            let call = admission.accept(Records::Bytes("x\n".repeat(*count).as_bytes()), now, &mut generator);
            while !admission.is_in(call) {
                let wait = admission.wait(now);
                prop_assert!(!wait.is_zero());
                now += wait;
                admission.release(now, &mut generator);
            }
        }
        let records: usize = counts.iter().sum();
        prop_assert_eq!(generator.cut().map_or(0, |block| block.row_count()), records as u64);
        let needed = (records as f64 - 1.0).max(0.0) / rate as f64;
        let waited = now.as_secs_f64();
        prop_assert!(waited >= needed - 1e-9 && waited <= needed + 0.012 + 1.0 / rate as f64, "{waited} s for {needed} s");
    }
}

#[test]
fn the_beginning_of_a_line_does_not_wait() {
    let mut generator = BlockGenerator::new("s", 0, Encoding::UTF_8, 100);
    let mut admission = Admission::new(Some(1), Duration::ZERO);
    for bytes in [&b"one\ntw"[..], b"o"] {
        let call = admission.accept(Records::Bytes(bytes), Duration::ZERO, &mut generator);
        assert!(admission.is_in(call));
    }
    let call = admission.accept(Records::Bytes(b"\nthree"), Duration::ZERO, &mut generator);
    assert!(!admission.is_in(call));
    assert_eq!(generator.cut().map(|block| texts(&block.rows)), Some(vec!["one".to_owned()]));
    assert_eq!(admission.take_whole(5, Duration::from_secs(1)), Some(Duration::ZERO), "earlier records come first");
}
