//! What waits for a collector, and the form in which it is sent.

use super::spans::{Attribute, Span};
use super::*;
use serde_json::json;

fn span(number: u64) -> Span {
    Span {
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        id: format!("{number:016x}"),
        parent_id: None,
        name: "batch".to_owned(),
        start_ns: 1_700_000_000_123_000_000,
        end_ns: 1_700_000_000_124_500_000,
        attributes: vec![("millstream.records", Attribute::Number(7))],
        failure: (number == 1).then(|| "a trap".to_owned()),
    }
}

#[test]
fn spans_have_the_form_of_otlp() {
    let body = encode::traces("job", &[span(1)]);
    let sent = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(
        *sent,
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "0000000000000001",
            "parentSpanId": "",
            "name": "batch",
            "kind": 1,
            "startTimeUnixNano": "1700000000123000000",
            "endTimeUnixNano": "1700000000124500000",
            "attributes": [{ "key": "millstream.records", "value": { "intValue": "7" } }],
            "status": { "code": 2, "message": "a trap" },
        })
    );
    let name = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(*name, json!({ "key": "service.name", "value": { "stringValue": "job" } }));
}

#[test]
fn what_waits_for_a_collector_is_bounded() {
    let waiting = Waiting::default();
    waiting.put_back((0..5000).map(span).collect());
    let (spans, dropped) = waiting.take();
    // The newest ones are kept.
    assert_eq!((spans.len(), dropped, spans[4095].id.as_str()), (4096, 904, "0000000000001387"));
    assert_eq!(waiting.take(), (Vec::new(), 0));
}
