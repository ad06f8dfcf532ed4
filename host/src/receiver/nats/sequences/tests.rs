//! Messages that are claimed, stored, acknowledged, recalled and forgotten.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn ranges(set: &NumberSet) -> Vec<(u64, u64)> {
    set.ranges().collect()
}

#[test]
fn a_message_belongs_to_one_claim_and_is_free_again_if_the_claim_ends() {
    let of = Sequences::default().of("s");
    let (mut first, mut second) = (of.claim(), of.claim());
    assert_eq!([1, 2, 4].map(|number| first.look(number)), [Found::New; 3]);
    assert_eq!([first.look(1), second.look(1), second.look(3)], [Found::OnItsWay, Found::OnItsWay, Found::New]);
    first.free(2);
    first.free(3);
    assert_eq!([second.look(2), second.look(4)], [Found::New, Found::OnItsWay]);
    drop(first);
    assert_eq!([second.look(1), second.look(4)], [Found::New; 2]);
    let numbers = second.stored();
    assert_eq!(ranges(&numbers), [(1, 4)]);
    assert_eq!(of.claim().look(3), Found::Stored);
    of.confirmed(&numbers);
    assert_eq!([of.claim().look(3), of.claim().look(5)], [Found::Stored, Found::New]);
}

#[test]
fn labels_bring_messages_back_for_the_same_stream_only() {
    let of = Sequences::default().of("a:b");
    let mut claim = of.claim();
    for number in (1000..1500).chain([1502, 1504, 1505]) {
        assert_eq!(claim.look(number), Found::New);
    }
    let label = claim.label();
    assert_eq!(label, "a:b:1000.500.2.1.1.2");
    let bad = ["", "a:b", "a:b:", "a:b:1", "a:b:1.0", "a:b:x.1", "a:b:18446744073709551615.2", "a:b:1.1.", "key 7"];
    for bad in bad {
        assert!(parsed(bad).is_none(), "{bad}");
    }
    let later = Sequences::default();
    later.recall(&["old:7.1".to_owned(), "a:b:90.9".to_owned(), label, bad[4].to_owned()]);
    assert_eq!(later.resume(), Some(("a:b".to_owned(), 99)));
    // It is recalled once.
    later.recall(&["other:1.1".to_owned()]);
    let mut claim = later.of("a:b").claim();
    let found = [1000, 1499, 1500, 1501, 1502, 1505, 90, 7].map(|number| claim.look(number));
    use Found::{New, Stored};
    assert_eq!(found, [Stored, Stored, New, New, Stored, Stored, Stored, New]);
    // Another stream has other messages.
    assert_eq!(later.of("a:c").claim().look(1000), New);
    assert_eq!(later.resume(), None);
}

#[test]
fn the_memory_of_acknowledged_messages_is_bounded_and_that_of_others_is_not_forgotten() {
    let of = Sequences::default().of("s");
    let mut old = of.claim();
    assert_eq!(old.look(1), Found::New);
    old.stored();
    let mut many = of.claim();
    for number in 1..=CONFIRMED_MAX as u64 + 10 {
        assert_eq!(many.look(number * 3), Found::New);
    }
    of.confirmed(&many.stored());
    let mut claim = of.claim();
    assert_eq!([1, 3, 30, 33].map(|number| claim.look(number)), [Found::Stored, Found::New, Found::New, Found::Stored]);
}

proptest! {
    /// A label says the same numbers again, and no text is mistaken for more than it says.
    #[test]
    fn labels_say_the_numbers_of_their_messages(numbers in prop::collection::btree_set(0..300_u64, 1..60), text in "[0-9.:a]{0,12}") {
        let sequences = Sequences::default();
        let mut claim = sequences.of("5f:1").claim();
        for number in &numbers {
            prop_assert_eq!(claim.look(*number), Found::New);
        }
        let label = claim.label();
        let (stream, found) = parsed(&label).unwrap();
        let found: BTreeSet<u64> = found.ranges().flat_map(|(first, last)| first..=last).collect();
        prop_assert_eq!((stream, found), ("5f:1", numbers));
        prop_assert!(parsed(&text).is_none_or(|(stream, _)| text.starts_with(stream)));
    }
}
