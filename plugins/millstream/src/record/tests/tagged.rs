//! Enums whose variants hold data, as records and as keys.

use super::super::{chunk_of, fields_of, rows_of};
use super::Point;
use crate::{Key, Record, Text};
use proptest::prelude::*;

/// The names of variants are in no order.
#[derive(Record, Key, Clone, Debug, PartialEq)]
enum Figure {
    Nothing,
    Rectangle { width: i64, r#height: Option<i64> },
    Circle(f64),
    Named(Text, bool),
    At(Point),
    Maybe(Option<u8>),
    Group(Vec<Inner>),
}

#[derive(Record, Key, Clone, Debug, PartialEq)]
enum Inner {
    Of(u8),
    None,
}

fn figure((choice, n, text, there): (u8, i64, String, bool)) -> Figure {
    match choice % 7 {
        0 => Figure::Nothing,
        1 => Figure::Rectangle { width: n, height: there.then_some(n) },
        2 => Figure::Circle(n as f64),
        3 => Figure::Named(text.into(), there),
        4 => Figure::At(Point(choice.into(), 0.5)),
        5 => Figure::Maybe(there.then_some(choice)),
        _ => Figure::Group(vec![Inner::Of(choice); usize::from(choice % 3)].into_iter().chain([Inner::None]).collect()),
    }
}

#[test]
fn an_enum_travels_as_a_struct() {
    let fields = fields_of::<(u8, Figure)>();
    let shown: Vec<String> = fields
        .iter()
        .skip(2)
        .map(|field| format!("{}:{}{}", field.name, field.kind, if field.nullable { "?" } else { "" }))
        .collect();
    assert_eq!(
        shown.join(" "),
        "1:struct type:text Rectangle:struct? width:i64 height:i64? Circle:f64? Named:struct? 0:text 1:bool At:struct? 0:i32 \
         1:f64 Maybe:struct? value:u8? Group:list? item:struct type:text Of:u8?"
    );
    let variants = "Nothing,Rectangle,Circle,Named,At,Maybe,Group".to_owned();
    assert_eq!((fields[2].children, &fields[2].metadata), (7, &vec![("variants", variants)]));
}

#[test]
fn variants_print_with_their_data() {
    let shown = |figure: Figure| {
        let mut out = String::new();
        figure.show(&mut out);
        out
    };
    assert_eq!(shown(Figure::Nothing), "Nothing");
    assert_eq!(shown(Figure::Rectangle { width: 1, height: None }), "Rectangle(1,None)");
    assert_eq!(shown(Figure::Circle(0.5)), "Circle(0.5)");
    assert_eq!(shown(Figure::Named("a".into(), true)), "Named(a,true)");
    assert_eq!(shown(Figure::At(Point(1, 2.0))), "At(1,2.0)");
    assert_eq!(shown(Figure::Maybe(Some(7))), "Maybe(Some(7))");
    assert_eq!(shown(Figure::Group(vec![Inner::Of(1), Inner::None])), "Group([Of(1), None])");
}

#[test]
fn keys_are_ordered_by_the_names_of_variants() {
    let order = [
        Figure::At(Point(9, 9.0)),
        Figure::Circle(-1.0),
        Figure::Circle(f64::NAN),
        Figure::Group(vec![]),
        Figure::Maybe(None),
        Figure::Maybe(Some(0)),
        Figure::Named("a".into(), false),
        Figure::Nothing,
        Figure::Rectangle { width: 0, height: None },
        Figure::Rectangle { width: 0, height: Some(0) },
    ];
    for (at, a) in order.iter().enumerate() {
        for (other, b) in order.iter().enumerate() {
            assert_eq!(a.compare(b), at.cmp(&other), "{a:?} {b:?}");
        }
    }
    let mut bytes = Vec::new();
    Inner::Of(7).encode(true, &mut bytes);
    assert_eq!(bytes, b"\x02\0\0\0Of\x01\x07");
}

proptest! {
    #[test]
    fn figures_come_back(rows in prop::collection::vec(any::<(u8, i64, String, bool)>(), 0..9)) {
        type Row = (Option<Figure>, Figure);
        let row = |row: (u8, i64, String, bool)| (row.3.then(|| figure(row.clone())), figure(row));
        let rows: Vec<Row> = rows.into_iter().map(row).collect();
        prop_assert_eq!(rows_of::<Row>(chunk_of(rows.clone())), rows.clone());
        let alone: Vec<Figure> = rows.iter().map(|row| row.1.clone()).collect();
        prop_assert_eq!(rows_of::<Figure>(chunk_of(alone.clone())), alone);
        let encoded = |row: &Row| {
            let mut bytes = Vec::new();
            row.encode(true, &mut bytes);
            bytes
        };
        for row in &rows {
            prop_assert_eq!(&Row::decode(&mut encoded(row).as_slice(), true), row);
            for other in &rows {
                prop_assert_eq!(row.compare(other).is_eq(), encoded(row) == encoded(other));
                prop_assert_eq!(row.compare(other), other.compare(row).reverse());
            }
        }
    }
}
