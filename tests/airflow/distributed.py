"""Runs the sample pipeline's DAG on the CeleryExecutor: a real Redis, and two workers that have
nothing in common but an object store, one of which is killed at work.

usage: distributed.py AIRFLOW REPOSITORY DOWNLOADS STORE FOLDER

AIRFLOW is Airflow's program, DOWNLOADS holds runtime and weights, STORE is the program of an object
store that is slow and fails now and then; FOLDER is emptied and takes homes, objects and logs.
"""

import atexit
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import common

airflow = sys.argv[1]
repository, downloads, store, folder = (Path(argument).resolve() for argument in sys.argv[2:])
database = folder / "airflow.db"
objects = folder / "objects/bucket"
WORKERS = ("first", "second")
# So many that no part is sent in pieces: the store, which keeps their state in files, has too long
# names for these.
SHARDS = 8


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environment(redis, api, endpoint):
    """Of every machine; all of them trust each other by one secret."""
    return common.environment(folder, repository, database) | {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test alone, which is long enough for HS512 as well",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"redis://127.0.0.1:{redis}/1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
        # A worker that dies is found out within seconds.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        "RUNS_DIR": "s3://bucket/runs",
        "EMBEDDINGS_DIR": "s3://bucket/embeddings",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


def start(name, command, **options):
    """A process in a group of its own, which ends with this one."""
    log = open(folder / f"{name}.log", "a")
    options = {"stdout": log, "stdin": subprocess.DEVNULL} | options
    process = subprocess.Popen(command, stderr=log, start_new_session=True, **options)
    atexit.register(end, process)
    return process


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def wait_for(what, found, seconds, pause=0.5):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if result := found():
            return result
        time.sleep(pause)
    return expect(f"{what} comes", False, f"not in {seconds} seconds")


def query(text):
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute(text).fetchall()
    except sqlite3.OperationalError:
        return []


def expect(what, condition, seen):
    common.expect(what, condition, seen, folder)


class Worker:
    """One with a home and a cache of its own: a machine, as far as stages can tell."""

    def __init__(self, name, env):
        self.name, self.home = name, folder / name
        cache = self.home / "cache"
        cache.mkdir(parents=True)
        (cache / "downloads").symlink_to(downloads)
        env = env | {"AIRFLOW_HOME": str(self.home), "CACHE_DIR": str(cache)}
        command = [airflow, "celery", "worker", "--skip-serve-logs", "--without-gossip",
                   "--celery-hostname", f"{name}@machine", "--pid", str(self.home / "worker.pid")]
        self.process = start(name, command, env=env)
        # What it has started has groups of its own.
        atexit.register(self.kill)

    def processes(self):
        """The worker, and all that it and its children have started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = [self.process.pid]
        for process in found:
            found += [child for child, parent in parents.items() if parent == process]
        return found

    def extracts(self):
        return any(common.is_extraction(process) for process in self.processes())

    def kill(self):
        """Ends everything here at once; gives what that was."""
        if self.process.poll() is not None:
            return []
        killed = self.processes()
        for process in killed:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        return killed

    def die(self):
        """With all that it had."""
        killed = self.kill()
        wait_for("its end", lambda: not any(Path(f"/proc/{process}/exe").exists() for process in killed), 60)
        shutil.rmtree(self.home)


def must(env, *arguments):
    done = subprocess.run([airflow, *arguments], env=env, capture_output=True, text=True)
    expect(f"airflow {' '.join(arguments[:2])}", done.returncode == 0, done.stdout + done.stderr)


def cluster():
    """Starts everything but the workers; gives the environment of all."""
    objects.mkdir(parents=True)
    server = start("store", [store, folder / "objects", "5", "0.02", "1"], stdout=subprocess.PIPE)
    endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
    redis, api = free_port(), free_port()
    start("redis", ["redis-server", "--port", str(redis), "--save", "", "--dir", folder])
    env = environment(redis, api, endpoint)
    must(env, "db", "migrate")
    must(env, "pools", "set", "accelerators", "4", "Machines that compute embeddings")
    for part in ("api-server", "scheduler", "dag-processor"):
        start(part, [airflow, part], env=env)
    return env


def local_run():
    """The same pipeline by make, on this machine alone."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "RUNS_DIR": str(folder / "local/runs"),
           "CACHE_DIR": str(folder / "local/cache")}
    (folder / "local/cache").mkdir(parents=True)
    (folder / "local/cache/downloads").symlink_to(downloads)
    done = subprocess.run(["make", "all"], cwd=repository, env=env, capture_output=True, text=True)
    expect("a local run", done.returncode == 0, done.stderr)
    return folder / "local/runs/sample"


def main():
    # Then what was started ends, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(folder, ignore_errors=True)
    env = cluster()
    workers = [Worker(name, env) for name in WORKERS]
    wait_for("the DAG", lambda: query("select 1 from dag where dag_id = 'sample'"), 300)
    conf = {"shards": SHARDS, "models": "s3://bucket/models"}
    must(env, "dags", "unpause", "sample")
    must(env, "dags", "trigger", "sample", "--conf", json.dumps(conf))

    at_work = lambda: next((worker for worker in workers if worker.extracts()), None)
    victim = wait_for("an extraction", at_work, 600, pause=0.02)
    victim.die()
    expect(f"the {victim.name} worker dies at work", True, None)
    workers[workers.index(victim)] = Worker(victim.name, env)

    ended = "select state from dag_run where dag_id = 'sample' and state in ('success', 'failed')"
    state = wait_for("an end", lambda: query(ended), 1200)
    tasks = query("select task_id, map_index, state, try_number from task_instance")
    expect("the run goes on and succeeds", state == [("success",)], tasks)
    tries = [tried for name, _, _, tried in tasks if name == "extract"]
    expect("what died with it is tried again", len(tries) == SHARDS and max(tries) > 1, tasks)
    seen = [worker.name for worker in workers if (worker.home / "cache/mirror").exists()]
    expect("both workers had a part in it", seen == list(WORKERS), seen)

    local = local_run()
    for name in ("images", "embeddings", "model", "."):
        manifests = [(run / name / "manifest.json").read_bytes() for run in (objects / "runs/sample", local)]
        expect(f"{'results' if name == '.' else name} equal the local run's", manifests[0] == manifests[1], name)
    published = json.loads((objects / "models/current/manifest.json").read_text())
    wanted = json.loads((local / "manifest.json").read_text())["outputs"]["metrics.json"]
    expect("its model is published", published["outputs"]["metrics.json"] == wanted, published)


main()
