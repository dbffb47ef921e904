"""Looks at the pods that the stages become where CLASSIFIERS_IMAGE is set, and at what is made of
their ends. No cluster is asked.

usage: pods.py REPOSITORY FOLDER, with Airflow's Python; FOLDER is emptied.
"""

import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import common

repository, folder = (Path(argument).resolve() for argument in sys.argv[1:])
IMAGE = "registry/classifiers:1"

# Something to read the address of a cluster from; nobody listens there.
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: none, context: {cluster: none, user: nobody}}]
current-context: none
"""


def expect(what, condition, seen):
    common.expect(what, condition, seen, folder)


def prepare():
    """The environment that Airflow reads when it is imported."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "kubeconfig").write_text(KUBECONFIG)
    os.environ |= common.environment(folder, repository, folder / "airflow.db") | {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": '{"conn_type": "kubernetes"}',
        "KUBECONFIG": str(folder / "kubeconfig"),
        "CLASSIFIERS_IMAGE": IMAGE,
        "CLASSIFIERS_GPUS": "1",
        "RUNS_DIR": "s3://bucket/runs",
    }
    sys.path.insert(0, str(repository / "pipelines/airflow"))


def container(operator):
    return operator.build_pod_request_obj().spec.containers[0]


def look_at_pods(dag):
    pod = dag.get_task("train").build_pod_request_obj()
    train = pod.spec.containers[0]
    env = {variable.name: variable.value for variable in train.env}
    expect("a stage is a pod of the image", train.image == IMAGE and len(pod.spec.containers) == 1, pod)
    wanted = f"cd {repository} && exec target/release/gtsrb-train --config \"$CONFIG\" --skip-code --json"
    expect("it runs the stage", (train.command, train.args) == (["sh", "-c"], [wanted]), train.args)
    expect("with the pipeline's settings", env["CONFIG"] == str(repository / "pipelines/sample.toml"), env)
    expect("and what all pods have in common",
           env["CACHE_DIR"] == "/cache" and train.env_from[0].secret_ref.name == "classifiers"
           and pod.spec.volumes[0].name == "cache" and train.resources.requests["memory"] == "2Gi"
           and pod.spec.restart_policy == "Never", pod)
    share = dag.get_task("extract").unmap({"env": {"CONFIG": "x", "SHARD": "2/3"}})
    extract = container(share)
    env = {variable.name: variable.value for variable in extract.env}
    expect("each share of an extraction is one with a GPU",
           env["SHARD"] == "2/3" and extract.resources.limits == {"nvidia.com/gpu": "1"}, extract)


def end(operator, code):
    """What the operator makes of a pod that ended with `code`."""
    from kubernetes.client import V1ContainerState, V1ContainerStateTerminated, V1ContainerStatus, V1PodStatus

    pod = operator.build_pod_request_obj()
    state = V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=code))
    status = V1ContainerStatus(
        name="base", image=IMAGE, image_id=IMAGE, ready=False, restart_count=0, state=state)
    pod.status = V1PodStatus(phase="Failed", container_statuses=[status])
    asked = ["is_istio_enabled", "patch_already_checked", "process_pod_deletion", "_read_pod_container_states",
             "_read_pod_events"]
    with mock.patch.multiple(operator, **{name: mock.Mock(return_value=False) for name in asked}):
        try:
            operator.cleanup(pod, pod)
        except Exception as error:
            return error
    return None


def look_at_ends(dag):
    from image_classifiers import ExitCodes

    train = dag.get_task("train")
    skipped = type(end(train, 99)).__name__
    expect("what is up to date is skipped", skipped == "AirflowSkipException", skipped)
    decisions = {code: ExitCodes().evaluate(end(train, code), 1, 3).action.value for code in (65, 69, 75, 78, 137)}
    wanted = {65: "fail", 69: "default", 75: "default", 78: "fail", 137: "default"}
    expect("only what may pass is tried again", decisions == wanted, decisions)


def main():
    prepare()
    import image_classifiers

    look_at_pods(image_classifiers.sample)
    look_at_ends(image_classifiers.sample)


main()
