"""Runs the sample pipeline's DAG in Airflow and reads from Airflow's database what became of it.

usage: check.py AIRFLOW REPOSITORY DOWNLOADS FOLDER

AIRFLOW is Airflow's program, DOWNLOADS holds runtime and weights; FOLDER is emptied and takes Airflow's home, runs, caches and models.
"""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import common

airflow = sys.argv[1]
repository, downloads, folder = (Path(argument).resolve() for argument in sys.argv[2:])
database = folder / "airflow.db"
STAGES = ["sample", "ingest", "backbone", "merge", "train", "evaluate", "gate", "publish"]
ALL = {*STAGES, "shares", "extract 0", "extract 1"}
METRICS = folder / "runs/sample/metrics.json"


def run(*arguments):
    env = common.environment(folder, repository, database)
    env |= {"RUNS_DIR": str(folder / "runs"), "CACHE_DIR": str(folder / "cache")}
    return subprocess.run([airflow, *arguments], env=env, capture_output=True, text=True)


def must(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, f"airflow {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def listed(*arguments):
    """What a command lists; warnings may stand before it."""
    lines = must(*arguments, "--output", "json").splitlines()
    return json.loads(next(line for line in lines if line.startswith("[{") or line == "[]"))


def test_dag(**conf):
    """Runs the DAG; gives its end and each task's state and number of tries, from the database."""
    conf = {"shards": 2, "models": str(folder / "models"), **conf}
    done = run("dags", "test", "sample", "--conf", json.dumps(conf))
    with sqlite3.connect(database) as connection:
        run_id, end = connection.execute(
            "select run_id, state from dag_run where dag_id = 'sample' order by id desc limit 1"
        ).fetchone()
        rows = connection.execute(
            "select task_id, map_index, state, try_number from task_instance where run_id = ?",
            [run_id],
        ).fetchall()
    (folder / "last.log").write_text(done.stdout + done.stderr)
    return end, {
        name if index < 0 else f"{name} {index}": (state, tries)
        for name, index, state, tries in rows
    }


def expect(what, condition, seen):
    common.expect(what, condition, seen, folder / "last.log")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Killer(threading.Thread):
    """Kills the first process that computes embeddings, as a machine that dies would."""

    def run(self):
        self.killed = False
        ends = time.monotonic() + 600
        while not self.killed and time.monotonic() < ends:
            for process in Path("/proc").glob("[0-9]*"):
                ours = common.is_extraction(process.name)
                if ours and os.readlink(process / "exe").startswith(str(repository)):
                    os.kill(int(process.name), signal.SIGKILL)
                    self.killed = True
                    return
            time.sleep(0.02)


def main():
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "cache").mkdir(parents=True)
    (folder / "cache/downloads").symlink_to(downloads)
    must("db", "migrate")
    must("pools", "set", "accelerators", "1", "Machines that compute embeddings")

    errors = listed("dags", "list-import-errors", "--local")
    expect("the DAGs import", errors == [], errors)
    found = {dag["dag_id"] for dag in listed("dags", "list", "--local")}
    wanted = {path.stem for path in (repository / "pipelines").glob("*.toml")}
    expect("there is one for each pipeline", found == wanted, found)

    end, tasks = test_dag()
    expect("a first run does everything",
           end == "success" and set(tasks) == ALL
           and all(task == ("success", 1) for task in tasks.values()), (end, tasks))
    current = folder / "models/current"
    release, metrics = os.readlink(current), digest(METRICS)
    expect("its model is published", digest(current / "metrics.json") == metrics, release)

    end, tasks = test_dag()
    busy = {name for name, (state, _) in tasks.items() if state != "skipped"}
    expect("a second run skips every stage", end == "success" and busy == {"shares", "gate"},
           (end, tasks))

    # The embeddings are lost, and the machine that computes them again dies once.
    shutil.rmtree(folder / "runs/sample/embeddings")
    shutil.rmtree(folder / "cache/embeddings")
    killer = Killer()
    killer.start()
    end, tasks = test_dag()
    killer.join()
    tries = sorted(tasks[f"extract {share}"] for share in (0, 1))
    expect("a killed task is tried again and the run goes on",
           killer.killed and end == "success" and tries == [("success", 1), ("success", 2)],
           (end, tasks))
    expect("it ends in the same bytes", digest(METRICS) == metrics, METRICS)

    end, tasks = test_dag(at_least=0.9999)
    expect("the gate fails a run that isn't good enough, without trying again",
           end == "failed" and tasks["gate"] == ("failed", 1)
           and tasks["publish"][0] == "upstream_failed", (end, tasks))
    expect("what is published stays", os.readlink(current) == release, os.readlink(current))


main()
