"""Distributed training: which step it is for, what a component may say of it, and a world of one.

Source: the CLI (v2) command component YAML reference, and the guide to distributed training, of
Azure Machine Learning.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Union

from pydantic import Field

from mlops.documents import Document, Finding, Settings, did_you_mean, inspect
from mlops.pipeline import Pipeline, Step
from mlops.settings import DistributedSettings

# The setting `azure.distributed` of an environment is for the step of this name.
TRAIN = "train"


def distributed_steps(pipeline: Pipeline) -> tuple[str, ...]:
    """The steps that the setting `azure.distributed` is for: those named `train`."""
    return tuple(name for name in pipeline.steps if name == TRAIN)


def distribution_of(pipeline: Pipeline, step: Step, setting: DistributedSettings | None) -> str:
    """How a step is distributed, such as `pytorch`; empty if it is not.

    The environment's setting comes before what the component says.
    """
    if setting and step.name in distributed_steps(pipeline):
        return setting.type
    said = step.component.data.get("distribution")
    return str(said.get("type", "")).lower() if isinstance(said, dict) else ""


def world_of_one(distribution: str, port: int) -> dict[str, str]:
    """The variables that Azure sets for each process, where there is one process.

    Args:
        distribution: `pytorch`, `tensorflow` or `mpi`; for MPI, `mpirun` and not Azure sets them.
        port: a free port of this machine.
    """
    if distribution == "pytorch":
        return {
            "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
    if distribution == "tensorflow":
        task = {"type": "worker", "index": 0}
        cluster = {"worker": [f"127.0.0.1:{port}"]}
        return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}
    return {}


class _Processes(Settings):
    type: Literal["pytorch", "mpi"]
    process_count_per_instance: int = Field(default=1, ge=1)


class _TensorFlow(Settings):
    type: Literal["tensorflow"]
    worker_count: int | None = Field(default=None, ge=1)
    parameter_server_count: int = Field(default=0, ge=0)


class _Ray(Settings):
    type: Literal["ray"]
    port: int | None = None
    address: str | None = None
    include_dashboard: bool | None = None
    dashboard_port: int | None = None
    head_node_additional_args: str | None = None
    worker_node_additional_args: str | None = None


DISTRIBUTIONS: dict[str, type[Settings]] = {
    "pytorch": _Processes, "mpi": _Processes, "tensorflow": _TensorFlow, "ray": _Ray,
}  # fmt: skip


class _Resources(Settings):
    instance_count: int = Field(default=1, ge=1)
    max_instance_count: int | None = Field(default=None, ge=1)
    instance_type: str | None = None
    locations: tuple[str, ...] = ()
    shm_size: str | None = Field(default=None, pattern=r"^\d+[bkmg]$")
    docker_args: Union[str, tuple[str, ...], None] = None
    properties: dict[str, Any] = Field(default={})


def inspect_distribution(document: Document, data: dict[str, Any], *keys: str) -> list[Finding]:
    """What is wrong in the `distribution` and the `resources` of a component or a step."""
    findings: list[Finding] = []
    if data.get("resources") is not None:
        findings += inspect(document, data["resources"], _Resources, *keys, "resources")[1]
    said = data.get("distribution")
    if said is None:
        return findings
    kind = str(said.get("type")).lower() if isinstance(said, dict) else ""
    if isinstance(said, dict) and kind not in DISTRIBUTIONS:
        hint = did_you_mean(kind, DISTRIBUTIONS)
        problem = f"`{said.get('type')}` is no type of distribution{hint}"
        return [*findings, document.finding(problem, *keys, "distribution", "type")]
    lower = {**said, "type": kind} if isinstance(said, dict) else said
    model = DISTRIBUTIONS.get(kind, _Processes)
    return findings + inspect(document, lower, model, *keys, "distribution")[1]
