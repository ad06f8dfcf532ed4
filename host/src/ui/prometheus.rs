//! Metrics in the text format of Prometheus, version 0.0.4.
//!
//! Owns the format. See `metrics.rs` for the metrics.

use super::metrics::{Kind, Metric, Value, all, spark_gauges};
use super::model::{BOUNDS_US, Model};
use super::monitor::Asked;
use crate::listener::Status;
use std::fmt::Write as _;

/// The media type of the text.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `/metrics` answers.
pub(super) fn text(model: &Model, status: &Status, asked: &Asked) -> String {
    let mut text = String::with_capacity(16 << 10);
    for metric in all(model, status, asked) {
        add(&mut text, &metric, &status.job);
    }
    text
}

/// Adds a metric of a job.
fn add(text: &mut String, metric: &Metric, job: &str) {
    let Metric { name, kind, help, samples } = metric;
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let mut all = format!("application=\"{}\"", escaped(job));
        for (label, value) in labels {
            let _ = write!(all, ",{label}=\"{}\"", escaped(value));
        }
        match value {
            Value::Number(value) => _ = writeln!(text, "{name}{{{all}}} {value}"),
            Value::Spans(spans) => {
                let bounds = BOUNDS_US.iter().map(|us| (*us as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
                let mut seen = 0u64;
                for (bound, count) in bounds.zip(spans.counts) {
                    seen = seen.saturating_add(count);
                    let _ = writeln!(text, "{name}_bucket{{{all},le=\"{bound}\"}} {seen}");
                }
                let sum = spans.sum_us as f64 / 1e6;
                let _ = writeln!(text, "{name}_sum{{{all}}} {sum}\n{name}_count{{{all}}} {seen}");
            }
        }
    }
}

/// A value of a label, as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What Spark's servlet answers at `/metrics/prometheus`: only Spark's gauges, under the names of that servlet.
pub(super) fn spark_text(model: &Model, status: &Status) -> String {
    let name: String = status.job.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut text = String::new();
    for (gauge, value) in spark_gauges(model, status) {
        let _ = writeln!(
            text,
            "metrics_{name}_driver_{name}_StreamingMetrics_streaming_{gauge}_Value{{type=\"gauges\"}} {value}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_stay_in_their_labels() {
        let samples = vec![(vec![("source", "a\"} 1\nb\\".to_owned())], Value::Number(0.5))];
        let metric = Metric { name: "m".to_owned(), kind: Kind::Gauge, help: "A gauge.".to_owned(), samples };
        let mut text = String::new();
        add(&mut text, &metric, "job");
        let expected = "# HELP m A gauge.\n# TYPE m gauge\nm{application=\"job\",source=\"a\\\"} 1\\nb\\\\\"} 0.5\n";
        assert_eq!(text, expected);
    }
}
