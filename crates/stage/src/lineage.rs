//! `lineage.jsonl`: two OpenLineage events a job, its start and its end, one JSON object a line
//! (<https://openlineage.io/spec/2-0-2/OpenLineage.json>). A file of events is what
//! OpenLineage's own file transport writes.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::job::Job;
use crate::url_of;

const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const ERROR_SCHEMA: &str = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet";
const PRODUCER: &str =
    concat!("urn:", env!("CARGO_PKG_NAME"), ":gtsrb:", env!("CARGO_PKG_VERSION"));

/// Adds the events of `job` to the run's file, in one write: jobs that end together don't mix.
pub(crate) fn append(job: &Job) -> io::Result<()> {
    let run = Uuid::now_v7();
    let end = if job.code == 0 { "COMPLETE" } else { "FAIL" };
    let lines = format!(
        "{}\n{}\n",
        event(job, "START", job.began.into(), run),
        event(job, end, (job.began + job.took).into(), run)
    );
    let mut file =
        OpenOptions::new().create(true).append(true).open(job.run.join("lineage.jsonl"))?;
    file.write_all(lines.as_bytes())
}

fn event(job: &Job, kind: &str, at: DateTime<Utc>, run: Uuid) -> Value {
    let (inputs, outputs) = datasets(job);
    let mut facets = json!({});
    if let Some(message) = job.error.as_ref().filter(|_| kind == "FAIL") {
        facets["errorMessage"] = json!({
            "_producer": PRODUCER,
            "_schemaURL": ERROR_SCHEMA,
            "message": message,
            "programmingLanguage": "Rust",
        });
    }
    json!({
        "eventType": kind,
        "eventTime": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": { "runId": run, "facets": facets },
        "job": { "namespace": job.pipeline, "name": job.name },
        "inputs": inputs,
        "outputs": outputs,
    })
}

/// The folders that a job reads and writes.
fn datasets(job: &Job) -> (Vec<Value>, Vec<Value>) {
    let stage = job.name.split('.').next().unwrap_or_default();
    let (inputs, output): (&[&str], &str) = match stage {
        "sample" => (&[], "data"),
        "ingest" => (&[], "images"),
        "backbone" => (&[], "backbone"),
        "extract" => (&["images", "backbone"], "embeddings"),
        "train" => (&["images", "embeddings", "backbone"], "model"),
        _ => (&["images", "embeddings", "model"], ""),
    };
    let dataset = |name: &&str| {
        let path = job.run.join(name);
        let url = url_of(&path).unwrap_or_default();
        // A bucket is a namespace of its own.
        let bucket = url.find("://").and_then(|at| Some(at + 3 + url[at + 3..].find('/')?));
        match bucket {
            Some(end) => json!({ "namespace": url[..end], "name": url[end + 1..] }),
            None => json!({
                "namespace": "file",
                "name": path.to_string_lossy().trim_end_matches('/'),
            }),
        }
    };
    (inputs.iter().map(dataset).collect(), vec![dataset(&output)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn a_job_is_two_events_of_one_run() {
        let dir = tempfile::tempdir().unwrap();
        append(&job(dir.path())).unwrap();
        append(&Job { code: 65, error: Some("bad\nrow".into()), ..job(dir.path()) }).unwrap();
        let text = std::fs::read_to_string(dir.path().join("lineage.jsonl")).unwrap();
        let events: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let kinds: Vec<_> = events.iter().map(|event| &event["eventType"]).collect();
        assert_eq!(kinds, ["START", "COMPLETE", "START", "FAIL"]);
        assert_eq!(events[0]["run"]["runId"], events[1]["run"]["runId"]);
        assert_ne!(events[0]["run"]["runId"], events[2]["run"]["runId"]);
        assert_eq!(events[0]["eventTime"], "2023-11-14T22:13:20.000Z");
        assert_eq!(events[1]["eventTime"], "2023-11-14T22:13:22.500Z");
        assert_eq!(events[2]["run"]["facets"], json!({}));
        assert_eq!(events[3]["run"]["facets"]["errorMessage"]["message"], "bad\nrow");
        let model = dir.path().join("model");
        assert_eq!(events[3]["outputs"][0]["name"], model.to_str().unwrap());
    }
}
