"""Reads what a run tells those who watch it, as they do.

usage: watched.py RUN STAGE...

The events of RUN/lineage.jsonl must be openlineage-python's own, two for each start of a stage;
RUN/prometheus/*.prom must be what Prometheus' own parser takes, read together. Every STAGE must
have succeeded last.
"""

import json
import sys
from pathlib import Path

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run
from openlineage.client.serde import Serde
from prometheus_client.parser import text_string_to_metric_families


def event(fields):
    """The library's event of these fields; it checks ids and times."""
    facets = {
        name: error_message_run.ErrorMessageRunFacet(facet["message"], facet["programmingLanguage"])
        for name, facet in fields["run"]["facets"].items()
    }
    made = RunEvent(
        eventType=RunState[fields["eventType"]],
        eventTime=fields["eventTime"],
        run=Run(fields["run"]["runId"], facets),
        job=Job(fields["job"]["namespace"], fields["job"]["name"]),
        inputs=[InputDataset(**dataset) for dataset in fields["inputs"]],
        outputs=[OutputDataset(**dataset) for dataset in fields["outputs"]],
        producer=fields["producer"],
    )
    again = Serde.to_dict(made)
    for name in ["eventType", "eventTime", "job", "producer"]:
        for key, value in fields[name].items() if name == "job" else [(None, fields[name])]:
            found = again[name][key] if key else again[name]
            assert found == value, (name, found, value)
    assert again["schemaURL"] == fields["schemaURL"], (again["schemaURL"], fields["schemaURL"])
    for facet in fields["run"]["facets"]:
        for key in ["message", "programmingLanguage", "_schemaURL"]:
            assert again["run"]["facets"][facet][key] == fields["run"]["facets"][facet][key], key
    return made


run, stages = Path(sys.argv[1]), sys.argv[2:]
events = [event(json.loads(line)) for line in (run / "lineage.jsonl").read_text().splitlines()]
ends = {}
for start, end in zip(events[::2], events[1::2], strict=True):
    assert start.eventType is RunState.START and start.run.runId == end.run.runId, start
    assert start.eventTime <= end.eventTime, (start, end)
    ends[end.job.name] = end.eventType
for stage in stages:
    assert ends.get(stage) is RunState.COMPLETE, (stage, ends)

text = "".join(file.read_text() for file in sorted((run / "prometheus").glob("*.prom")))
samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
codes = {s.labels["stage"]: s.value for s in samples if s.name == "gtsrb_stage_exit_code"}
assert all(codes.get(stage) == 0 for stage in stages), codes
top1 = [s.value for s in samples
        if (s.labels["stage"], s.labels.get("name")) == ("evaluate", "top1")]
assert top1 == [json.loads((run / "metrics.json").read_text())["top1"]], top1
print(f"{len(events)} events and {len(samples)} samples are understood")
