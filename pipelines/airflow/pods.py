"""Stages as pods: what image_classifiers.py makes of them where CLASSIFIERS_IMAGE is set.

    CLASSIFIERS_IMAGE  an image with the repository, built and set up, in CLASSIFIERS_HOME
    CLASSIFIERS_POD    what all pods have in common (default: pod.yaml beside this file)
    CLASSIFIERS_GPUS   GPUs of each task of the extraction (default: none)
"""

import os
import shlex
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import V1ResourceRequirements

IMAGE = os.environ.get("CLASSIFIERS_IMAGE")
TEMPLATE = os.environ.get("CLASSIFIERS_POD") or str(Path(__file__).with_name("pod.yaml"))
GPUS = os.environ.get("CLASSIFIERS_GPUS")


class PodOperator(KubernetesPodOperator):
    """A command in a pod of its own; takes what BashOperator takes."""

    def __init__(self, *, bash_command, cwd, env, append_env=True, **options):
        if GPUS and "--shard" in bash_command:
            options["container_resources"] = V1ResourceRequirements(limits={"nvidia.com/gpu": GPUS})
        super().__init__(
            name=options["task_id"],
            image=IMAGE,
            cmds=["sh", "-c"],
            arguments=[f"cd {shlex.quote(cwd)} && {bash_command}"],
            env_vars=env,
            pod_template_file=TEMPLATE,
            **options,
        )
