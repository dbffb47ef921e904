"""One DAG for each pipeline file: images to embeddings to a head, judged and then published.

Put this folder where Airflow looks for DAGs, and create the pool once, with a slot for each
GPU (or for each processor that may be busy):

    airflow pools set accelerators 1 "Machines that compute embeddings"

The DAGs read these variables of the environment that Airflow's processes have:

    CLASSIFIERS_HOME   the folder with target/release and pipelines (default: two above this one)
    RUNS_DIR, CACHE_DIR, EMBEDDINGS_DIR, ORT_DYLIB_PATH, BACKBONE_WEIGHTS, and for an object
                       store its variables, as the stages do
    CLASSIFIERS_IMAGE  makes every stage a pod of this image, see pods.py
"""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, Param, RetryDecision, RetryPolicy, task

if os.environ.get("CLASSIFIERS_IMAGE"):
    from pods import PodOperator as Operator
else:
    Operator = BashOperator

HOME = Path(os.environ.get("CLASSIFIERS_HOME") or Path(__file__).resolve().parents[2])
RUNS = os.environ.get("RUNS_DIR") or "runs"
POOL = "accelerators"


class ExitCodes(RetryPolicy):
    """Tries again only where that helps: not after 64 (usage), 65 (wrong data, or a model that
    is not good enough), 66 (missing input), 70 (a bug), 73 (no permission) or 78 (settings)."""

    FINAL = {64, 65, 66, 70, 73, 78}

    def evaluate(self, exception, try_number, max_tries, context=None):
        code = re.search(r"exit[ _]code\W+(\d+)", str(exception))
        if code and int(code[1]) in self.FINAL:
            return RetryDecision.fail(f"exit code {code[1]} stays until something is changed")
        return RetryDecision.default()

    def serialize(self):
        return {}

    @classmethod
    def deserialize(cls, data):
        return cls()


def stage(name: str, command: str, **options) -> dict:
    """What the operator of one stage takes. Values come through the environment: a quote in a
    path is no command. What is up to date ends with 99 and is shown as skipped."""
    return {
        "task_id": name,
        "bash_command": f"exec target/release/{command} --config \"$CONFIG\" --skip-code --json",
        "append_env": True,
        "cwd": str(HOME),
        "skip_on_exit_code": 99,
        # After stages that were up to date, too.
        "trigger_rule": "none_failed",
        **options,
    }


def uri(path: str) -> str:
    """Of a folder, or of one in an object store as it is."""
    return path if "://" in path else (HOME / path).as_uri()


def params(pipeline: str) -> dict:
    """The settings of one run, with their JSON schema."""
    source = {} if pipeline == "sample" else {
        "data": Param(type="string", minLength=1, description="The folder with the pictures"),
    }
    return source | {
        "shards": Param(1, type="integer", minimum=1, maximum=1024,
                        description="Tasks that share the extraction"),
        "at_least": Param(0.0, type="number", minimum=0, maximum=1,
                          description="Publish no model with a lower test accuracy"),
        "models": Param("models", type="string", minLength=1,
                        description="The folder of published models"),
    }


def build(config: Path) -> DAG:
    """The DAG of the pipeline that `config` describes."""
    name = config.stem
    images, model = (Asset(name=f"{name}-{what}", uri=uri(f"{RUNS}/{name}/{what}"))
                     for what in ("images", "model"))
    env = {
        "CONFIG": str(config),
        "DATA": f"{RUNS}/{name}/data" if name == "sample" else "{{ params.data }}",
        "SHARDS": "{{ params.shards }}",
        "AT_LEAST": "{{ params.at_least }}",
        "MODELS": "{{ params.models }}",
    }
    publishing = 'gtsrb-evaluate publish --to "$MODELS" --at-least "$AT_LEAST"'
    dag = DAG(
        name,
        description=f"From images to a published classifier: {config.name}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        # Stages lock what they write; a second run would only wait.
        max_active_runs=1,
        params=params(name),
        tags=["images", "classifier"],
        default_args={
            "retries": 3,
            "retry_delay": timedelta(seconds=int(os.environ.get("RETRY_SECONDS") or 60)),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=30),
            "retry_policy": ExitCodes(),
        },
    )
    with dag:
        @task(trigger_rule="none_failed")
        def shares(params: dict) -> list[dict]:
            """The environment of each task that computes a share of the embeddings."""
            count = params["shards"]
            return [env | {"SHARD": f"{share}/{count}"} for share in range(1, count + 1)]

        ingest = Operator(
            **stage("ingest", 'gtsrb-ingest --source "$DATA"', env=env, outlets=[images]))
        backbone = Operator(**stage("backbone", "gtsrb-backbone", env=env))
        extract = Operator.partial(
            **stage("extract", 'gtsrb-extract --shard "$SHARD"', pool=POOL),
        ).expand(env=shares())
        merge = Operator(
            **stage("merge", 'gtsrb-extract merge --shards "$SHARDS"', env=env))
        train = Operator(**stage("train", "gtsrb-train", env=env))
        evaluate = Operator(**stage("evaluate", "gtsrb-evaluate", env=env))
        gate = Operator(**stage("gate", f"{publishing} --dry-run", env=env))
        publish = Operator(**stage("publish", publishing, env=env, outlets=[model]))
        ingest >> backbone >> extract >> merge >> train >> evaluate >> gate >> publish
        if name == "sample":
            Operator(**stage("sample", "gtsrb-sample", env=env)) >> ingest
    return dag


for config in sorted((HOME / "pipelines").glob("*.toml")):
    globals()[config.stem.replace("-", "_")] = build(config)
