//! Tests of row types: limits, names, how they print.

use super::*;

fn field(name: &str, kind: &str, children: u32) -> Field {
    Field { name: name.into(), kind: kind.into(), nullable: false, children, metadata: Vec::new() }
}

fn optional(name: &str, kind: &str, children: u32) -> Field {
    Field { nullable: true, ..field(name, kind, children) }
}

fn problem(fields: Vec<Field>) -> String {
    RecordType::parse(fields).unwrap_err().to_string()
}

fn pair() -> RecordType {
    let fields = vec![field("", "struct", 2), field("0", "list", 1), field("x", "text", 0), field("1", "u64", 0)];
    RecordType::parse(fields).unwrap()
}

#[test]
fn types_print_as_spark_would_write_them() {
    let shown = |fields| RecordType::parse(fields).unwrap().to_string();
    assert_eq!(RecordType::text().to_string(), "text");
    assert_eq!(pair().to_string(), "(list<text>, u64)");
    assert_eq!(shown(vec![optional("", "i64", 0)]), "option<i64>");
    assert_eq!(shown(vec![optional("", "timestamp[us]", 0)]), "option<timestamp[us]>");
    assert_eq!(shown(vec![field("", "decimal(38,2)", 0)]), "decimal(38,2)");
    assert_eq!(shown(vec![field("", "list", 1), optional("e", "f64", 0)]), "list<option<f64>>");
    assert_eq!(shown(vec![field("", "struct", 1), field("a", "i64", 0)]), "struct{a: i64}");
    assert_eq!(shown(vec![optional("", "struct", 1), optional("value", "i64", 0)]), "option<option<i64>>");
    assert_eq!(shown(vec![optional("", "struct", 1), field("value", "i64", 0)]), "option<struct{value: i64}>");
}

fn an_enum(names: &str) -> Vec<Field> {
    let mut root = field("", "struct", 3);
    root.metadata = vec![("variants".into(), names.into())];
    vec![
        root,
        field("type", "text", 0),
        optional("Moved", "struct", 1),
        field("by", "i64", 0),
        optional("Said", "text", 0),
    ]
}

#[test]
fn an_enum_is_a_struct_with_variants() {
    let shown = |fields| RecordType::parse(fields).unwrap().to_string();
    assert_eq!(shown(an_enum("Start,Moved,Said")), "enum{Start, Moved: struct{by: i64}, Said: text}");
    let mut optional = an_enum("Moved,Said,End");
    optional[0].nullable = true;
    assert_eq!(shown(optional), "option<enum{Moved: struct{by: i64}, Said: text, End}>");
    let list = [vec![field("", "list", 1)], an_enum("Moved,Said")].concat();
    assert_eq!(shown(list), "list<enum{Moved: struct{by: i64}, Said: text}>");
    let told = "field 0 `value` has variants, but is no struct of a text `type` and of optional members that are called as \
                variants are";
    for names in ["", "Start", "Said,Moved", "Moved,Said,Moved", "Moved,,Said"] {
        assert_eq!(problem(an_enum(names)), told);
    }
    let mut untagged = an_enum("Moved,Said");
    untagged[1].kind = "bytes".into();
    assert_eq!(problem(untagged), told);
    let pair = [vec![field("", "struct", 2)], an_enum("Moved,Said"), vec![field("n", "u8", 0)]].concat();
    let mut pair = pair;
    (pair[1].name, pair[6].name) = ("0".into(), "1".into());
    let (key, _) = RecordType::parse(pair).unwrap().pair().unwrap();
    assert_eq!(key, RecordType::parse(an_enum("Moved,Said")).unwrap());
}

#[test]
fn members_of_the_root_struct_are_the_columns() {
    assert_eq!(pair().arrow().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(pair().buffers(), 2 + 3 + 2);
    let absent = RecordType::parse(vec![optional("x", "struct", 1), field("0", "u8", 0)]).unwrap();
    assert_eq!(absent.arrow().fields().len(), 1);
    assert_eq!(absent.arrow().field(0).name(), "value");
    assert_eq!(absent.buffers(), 1 + 2);
    assert!(!absent.is_pair());
    assert_eq!(RecordType::text(), RecordType::parse(vec![field("anything", "text", 0)]).unwrap());
    assert_eq!(RecordType::parse(pair().fields().to_vec()).unwrap(), pair());
}

#[test]
fn a_pair_has_a_key_and_a_value_type() {
    let (key, value) = pair().pair().unwrap();
    assert_eq!(key, RecordType::parse(vec![field("", "list", 1), field("", "text", 0)]).unwrap());
    assert_eq!(value, RecordType::parse(vec![field("", "u64", 0)]).unwrap());
    assert_eq!(RecordType::text().pair(), None);
    let named = vec![field("", "struct", 2), field("a", "u8", 0), field("b", "u8", 0)];
    assert!(!RecordType::parse(named).unwrap().is_pair());
}

#[test]
fn each_mistake_is_named() {
    assert_eq!(problem(vec![]), "the type has no fields");
    assert_eq!(problem(vec![field("a", "text", 0); 1001]), "the type has 1001 fields, which is more than 1000");
    assert_eq!(
        problem(vec![field("a", "quaternion", 0)]),
        "field 0 `value` is of the kind `quaternion`, which this host does not know"
    );
    for kind in [
        "decimal(5,6)",
        "decimal(0,0)",
        "decimal(39,2)",
        "decimal(5,-2)",
        "decimal(05,2)",
        "decimal(5, 2)",
        "timestamp",
    ] {
        let told = format!("field 0 `value` is of the kind `{kind}`, which this host does not know");
        assert_eq!(problem(vec![field("a", kind, 0)]), told);
    }
    assert_eq!(problem(vec![field("a", "list", 0)]), "field 0 `value` (list) has 0 children, exactly 1 is needed");
    assert_eq!(problem(vec![field("a", "struct", 0)]), "field 0 `value` (struct) has 0 children, at least 1 is needed");
    assert_eq!(problem(vec![field("a", "u8", 7)]), "field 0 `value` (u8) has 7 children, none are needed");
    assert_eq!(
        problem(vec![field("a", "struct", u32::MAX), field("a", "u8", 0)]),
        "field 0 `value` has 4294967295 children, but the list of fields ends before them"
    );
    assert_eq!(
        problem(vec![field("a", "u8", 0), field("b", "u8", 0)]),
        "the type ends with field 0, but 2 fields are listed"
    );
    assert_eq!(
        problem(vec![field("a", "struct", 2), field("b", "u8", 0), field("b", "u8", 0)]),
        "field 2 `b` has the name of another member of its struct"
    );
    assert_eq!(
        problem(vec![field("a", "struct", 1), field("", "u8", 0)]),
        "the name of field 1 is 0 bytes long, not 1 to 256"
    );
    assert_eq!(
        problem(vec![field("a", "struct", 1), field(&"x".repeat(257), "u8", 0)]),
        "the name of field 1 is 257 bytes long, not 1 to 256"
    );
    let mut deep = vec![field("a", "list", 1); 32];
    deep.push(field("a", "u8", 0));
    assert_eq!(problem(deep.clone()), "field 32 `item` is nested deeper than 32 levels");
    assert!(RecordType::parse(deep.split_off(1)).is_ok());
    let mut labelled = field("a", "bytes", 0);
    labelled.metadata = vec![("type".into(), "x".repeat(1025))];
    assert!(problem(vec![labelled]).starts_with("the metadata of field 0 `value` has more than 16 entries"));
}
