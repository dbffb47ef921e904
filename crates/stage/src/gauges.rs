//! `prometheus/STAGE.prom`: how a stage ended last, in Prometheus' text format, for the textfile
//! collector of its node exporter.

use std::fmt::Write as _;
use std::io;

use serde_json::Value;

use crate::job::Job;
use crate::replace::replace;
use crate::timings::peak_resident_bytes;

/// Replaces the file of `job`.
pub(crate) fn write(job: &Job) -> io::Result<()> {
    let folder = job.run.join("prometheus");
    std::fs::create_dir_all(&folder)?;
    replace(&folder, &format!("{}.prom", job.name), text(job))
}

fn text(job: &Job) -> String {
    let stage = format!("pipeline=\"{}\",stage=\"{}\"", escaped(&job.pipeline), escaped(&job.name));
    let ended = (job.began + job.took)
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: &[(String, f64)]| {
        // Writing to a string can't fail.
        let _ = write!(text, "# HELP gtsrb_{name} {help}\n# TYPE gtsrb_{name} gauge\n");
        for (labels, value) in values {
            let _ = writeln!(text, "gtsrb_{name}{{{labels}}} {value}");
        }
    };
    let mut alone = |name, help, value| gauge(name, help, &[(stage.clone(), value)]);
    alone("stage_end_timestamp_seconds", "When the stage ended last.", ended);
    alone("stage_exit_code", "Its exit code; 0 is success.", f64::from(job.code));
    alone("stage_duration_seconds", "How long it took.", job.took.as_secs_f64());
    let peak = peak_resident_bytes() as f64;
    alone("stage_peak_resident_bytes", "The most memory that it had.", peak);
    let results: Vec<_> = numbers(&job.summary)
        .map(|(name, value)| (format!("{stage},name=\"{}\"", escaped(name)), value))
        .collect();
    if !results.is_empty() {
        gauge("stage_result", "A number of its summary.", &results);
    }
    text
}

/// The summary's own numbers, without those of lists and objects in it.
fn numbers(summary: &Value) -> impl Iterator<Item = (&str, f64)> {
    let fields = summary.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
}

/// A label's value between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn numbers_are_gauges_with_escaped_labels() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            write(&job(dir.path())).unwrap();
        }
        let folder = dir.path().join("prometheus");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        let text = std::fs::read_to_string(folder.join("train.prom")).unwrap();
        let labels = r#"pipeline="quoted \"name\"",stage="train""#;
        assert!(text.contains(&format!("\ngtsrb_stage_duration_seconds{{{labels}}} 2.5\n")));
        assert!(
            text.contains(&format!(
                "\ngtsrb_stage_end_timestamp_seconds{{{labels}}} 1700000002.5\n"
            ))
        );
        assert!(text.contains(&format!("\ngtsrb_stage_result{{{labels},name=\"classes\"}} 43\n")));
        assert!(text.contains(&format!("{labels},name=\"lambda\"}} 0.00001\n")), "{text}");
        assert!(!text.contains("note") && !text.contains("best"));
        let failed = Job { code: 65, summary: Value::Null, ..job(dir.path()) };
        write(&failed).unwrap();
        let text = std::fs::read_to_string(folder.join("train.prom")).unwrap();
        assert!(text.contains(&format!("\ngtsrb_stage_exit_code{{{labels}}} 65\n")));
        assert!(!text.contains("stage_result"));
    }
}
