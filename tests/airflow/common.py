"""What the tests in Airflow share."""

import os
import sys
from pathlib import Path


def environment(folder, repository, database):
    """Airflow with its home in `folder` and the repository's DAGs; nothing else from outside."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "pipelines/airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "CLASSIFIERS_HOME": str(repository),
        "RETRY_SECONDS": "1",
    }


def is_extraction(process):
    """Whether the process of this number computes a share of the embeddings."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return command[0].endswith(b"gtsrb-extract") and b"--shard" in command


def expect(what, condition, seen, log):
    """Says that `what` is so, or ends with what was `seen` instead."""
    if not condition:
        sys.exit(f"FAILED: {what}: {seen}\nAirflow's log: {log}")
    print(f"ok: {what}", flush=True)
