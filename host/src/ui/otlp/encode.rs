//! Metrics and spans in the JSON form of OTLP.
//!
//! Owns this form: whole numbers of 64 bits are texts, and times are nanoseconds since the Unix epoch.

use super::super::metrics::{Kind, Metric, Value as Sample};
use super::super::model::BOUNDS_US;
use super::spans::{Attribute, Span};
use serde_json::{Value, json};

/// Sums count from the start of the host.
const CUMULATIVE: u8 = 2;
const STATUS_OK: u8 = 1;
const STATUS_ERROR: u8 = 2;
const KIND_INTERNAL: u8 = 1;

fn resource(job: &str) -> Value {
    json!({ "attributes": [text("service.name", job), text("service.namespace", "millstream")] })
}

fn scope() -> Value {
    json!({ "name": "millstream", "version": env!("CARGO_PKG_VERSION") })
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// The body of a request to `/v1/metrics`.
pub(super) fn metrics(job: &str, since_ms: u64, now_ms: u64, metrics: &[Metric]) -> Value {
    let at = |ms: u64| format!("{ms}000000");
    let point = |labels: &[(&'static str, String)], value: Value| {
        let mut point = json!({
            "startTimeUnixNano": at(since_ms),
            "timeUnixNano": at(now_ms),
            "attributes": labels.iter().map(|(label, value)| text(label, value)).collect::<Vec<_>>(),
        });
        if let (Value::Object(point), Value::Object(value)) = (&mut point, value) {
            point.extend(value);
        }
        point
    };
    let encoded = |metric: &Metric| {
        let points: Vec<Value> = metric
            .samples
            .iter()
            .map(|(labels, sample)| match sample {
                Sample::Number(value) => point(labels, json!({ "asDouble": value })),
                Sample::Spans(spans) => point(
                    labels,
                    json!({
                        "count": spans.counts.iter().sum::<u64>().to_string(),
                        "sum": spans.sum_us as f64 / 1e6,
                        "bucketCounts": spans.counts.iter().map(u64::to_string).collect::<Vec<_>>(),
                        "explicitBounds": BOUNDS_US.iter().map(|us| *us as f64 / 1e6).collect::<Vec<_>>(),
                    }),
                ),
            })
            .collect();
        // Collectors add `_total` to the names of sums for Prometheus.
        let name = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
        let (form, data) = match metric.kind {
            Kind::Counter => {
                ("sum", json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true }))
            }
            Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
            Kind::Histogram => ("histogram", json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE })),
        };
        let mut encoded = json!({ "name": name, "description": metric.help });
        encoded[form] = data;
        encoded
    };
    let metrics: Vec<Value> = metrics.iter().filter(|metric| !metric.samples.is_empty()).map(encoded).collect();
    json!({ "resourceMetrics": [{
        "resource": resource(job),
        "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
    }] })
}

/// The body of a request to `/v1/traces`.
pub(super) fn traces(job: &str, spans: &[Span]) -> Value {
    let encoded = |span: &Span| {
        let attribute = |(key, value): &(&'static str, Attribute)| match value {
            Attribute::Text(value) => text(key, value),
            Attribute::Number(value) => json!({ "key": key, "value": { "intValue": value.to_string() } }),
        };
        let status = match &span.failure {
            Some(failure) => json!({ "code": STATUS_ERROR, "message": failure }),
            None => json!({ "code": STATUS_OK }),
        };
        json!({
            "traceId": span.trace_id,
            "spanId": span.id,
            "parentSpanId": span.parent_id.as_deref().unwrap_or(""),
            "name": span.name,
            "kind": KIND_INTERNAL,
            "startTimeUnixNano": span.start_ns.to_string(),
            "endTimeUnixNano": span.end_ns.to_string(),
            "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
            "status": status,
        })
    };
    json!({ "resourceSpans": [{
        "resource": resource(job),
        "scopeSpans": [{ "scope": scope(), "spans": spans.iter().map(encoded).collect::<Vec<_>>() }],
    }] })
}
