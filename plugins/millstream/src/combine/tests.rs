//! The table, compared with a model, with keys that collide on purpose.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// The result that a map and a list give for the same rows.
fn expected<V: Clone>(rows: &[(String, V)], add: impl Fn(V, V) -> V) -> Vec<(String, V)> {
    let (mut order, mut sums) = (Vec::new(), HashMap::<String, V>::new());
    for (key, value) in rows {
        let sum = match sums.remove(key) {
            Some(sum) => add(sum, value.clone()),
            None => {
                order.push(key.clone());
                value.clone()
            }
        };
        sums.insert(key.clone(), sum);
    }
    order.into_iter().map(|key| (key.clone(), sums[&key].clone())).collect()
}

fn combined<V: Record + Clone>(
    table: &mut CombineTable<String, V>,
    rows: &[(String, V)],
    add: impl Fn(V, V) -> V,
) -> Vec<(String, V)> {
    for (key, value) in rows {
        table.merge(key, value.clone(), |first| first, &add);
    }
    let mut combined = Vec::new();
    table.drain(|mut key, sum| combined.push((String::decode(&mut key, true), sum)));
    combined
}

proptest! {
    /// Values inside and outside of slots, keys of every length, and a table that is used again.
    #[test]
    fn merges_as_a_map_does_in_order_of_first_appearance(
        rows in prop::collection::vec(("[a-c]{0,4}|[ab]{5,16}|[ab]{15,40}", 0u64..9), 0..3000),
    ) {
        let mut small = CombineTable::<String, u64>::new();
        let mut apart = CombineTable::<String, String>::new();
        let texts: Vec<_> = rows.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        for _ in 0..2 {
            prop_assert_eq!(combined(&mut small, &rows, |a, b| a + b), expected(&rows, |a, b| a + b));
            prop_assert_eq!(combined(&mut apart, &texts, |a, b| a + &b), expected(&texts, |a, b| a + &b));
            prop_assert_eq!((small.len(), small.key_bytes(), apart.len()), (0, 0, 0));
        }
    }

    #[test]
    fn a_front_holds_the_first_bytes_whatever_follows(key in prop::collection::vec(any::<u8>(), 0..30), rest in prop::collection::vec(any::<u8>(), 0..30)) {
        let readable = [key.clone(), rest].concat();
        let front = front_of(&readable, key.len());
        let mut bytes = [0; FRONT_BYTES];
        let length = key.len().min(FRONT_BYTES);
        bytes[..length].copy_from_slice(&key[..length]);
        prop_assert_eq!(bytes_of(front), bytes);
    }
}

#[test]
fn many_keys_are_all_found_again() {
    let mut table = CombineTable::<u64, u64>::new();
    for _ in 0..3 {
        (0..100_000u64).for_each(|key| table.merge(&(key * 0x1_0000_0001), key, |first| first, |a, b| a + b));
    }
    let mut next = 0;
    table.drain(|mut key, sum| {
        assert_eq!((u64::decode(&mut key, true), sum), (next * 0x1_0000_0001, next * 3));
        next += 1;
    });
    assert_eq!((next, table.strong.is_none()), (100_000, true));
}

/// Keys whose fast hashes are all the same cost no more than other keys, once the table has noticed the collisions.
#[test]
fn keys_that_are_made_to_collide_are_hashed_in_another_way() {
    let invert = |product: u64| {
        // The inverse of an odd number modulo 2^64, by Newton's method.
        let odd = 0x9e37_79b9_7f4a_7c15_u64;
        let inverse = (0..6).fold(odd, |x, _| x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x))));
        product.wrapping_mul(inverse)
    };
    let keys: Vec<[u64; 2]> = (0..20_000u64)
        .map(|number| {
            let product = number << 20;
            let low = invert(product) ^ FRONT_BYTES as u64;
            [low, product ^ product >> 32]
        })
        .collect();
    let mut table = CombineTable::<(u64, u64), u64>::new();
    for _ in 0..2 {
        for [low, high] in &keys {
            table.merge(&(*low, *high), 1, |first| first, |a, b| a + b);
        }
    }
    assert!(table.strong.is_some());
    let mut drained = Vec::new();
    table.drain(|mut key, sum| drained.push((<(u64, u64)>::decode(&mut key, true), sum)));
    assert!(drained.iter().zip(&keys).all(|(((low, high), sum), key)| [*low, *high] == *key && *sum == 2));
    assert_eq!(drained.len(), keys.len());
}
