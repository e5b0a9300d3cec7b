"""Pipeline jobs in Azure: submitted under a name that says what they do, followed, brought back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.digests import digest_of, digest_path
from mlops.distributed import distributed_steps
from mlops.errors import MlopsError
from mlops.pipeline import PATH_TYPES, Pipeline
from mlops.settings import DistributedSettings
from mlops.workspaces import Report
from mlops.workspaces.azure.sign_in import renew

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job

ENDED = ("Completed", "Failed", "Canceled")
LONGEST_WAIT = 15.0  # seconds between two looks at a job


def digest_job(pipeline: Pipeline, inputs: dict[str, Any], surroundings: list[Any]) -> str:
    """What a job does: its files, its code, its inputs and its surroundings."""
    components = [step.component for step in pipeline.steps.values()]
    return digest_of([
        pipeline.document.data,
        [component.data for component in components],
        sorted({digest_path(component.code) for component in components}),
        {k: digest_path(v) if isinstance(v, Path) else v for k, v in inputs.items()},
        surroundings,
    ])[:16]  # fmt: skip


def find_or_submit(
    client: MLClient, name: str, submit: Callable[[str], Any], *, again: bool, report: Report
) -> str:
    """The name of the job that does this; it is submitted if it is not there.

    A job that goes on is taken up where it is. One that failed, or that is to be done again, is
    followed by another under the name with a number. So a command that was interrupted finds its
    job, and asking twice makes one.
    """
    from azure.core.exceptions import AzureError

    attempt = 1
    while True:
        named = name if attempt == 1 else f"{name}-{attempt}"
        state = state_of(client, named)
        if state is None:
            report(f"submitting {named} ...")
            try:
                submit(named)
            except AzureError:
                # An answer that was lost: asked again, Azure says that the name is taken.
                if state_of(client, named) is None:
                    raise
            return named
        if state not in ENDED:
            report(f"{named} is at work already; following it")
            return named
        if state == "Completed" and not again:
            report(f"{named} was done before")
            return named
        attempt += 1


def state_of(client: MLClient, name: str) -> str | None:
    """The status of a job; None where there is none of this name."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return status_of(client.jobs.get(name))
    except ResourceNotFoundError:
        return None


def status_of(job: Job) -> str:
    """The status of a job, in Azure's word: azure-ai-ml gives some as an enumeration's member."""
    return str(getattr(job.status, "value", job.status))


def load_pipeline_job(
    pipeline: Pipeline, name: str, inputs: dict[str, Any], *,
    compute: str, image: str, experiment: str, tags: dict[str, str],
    distributed: DistributedSettings | None, rerun: bool = False,
) -> Any:  # fmt: skip
    """The pipeline's file as a job of azure-ai-ml, with what the environment decides."""
    from azure.ai.ml import load_job

    changes: dict[str, Any] = {
        "name": name, "experiment_name": experiment, "tags": tags,
        "settings.default_compute": f"azureml:{compute}",
    }  # fmt: skip
    if rerun:
        changes["settings.force_rerun"] = True
    for key, value in inputs.items():
        spec = pipeline.inputs.get(key)
        if isinstance(spec, dict) and spec.get("type") in PATH_TYPES:
            changes[f"inputs.{key}"] = {"type": spec["type"], "path": str(value)}
        else:
            changes[f"inputs.{key}"] = value
    spread = distributed_steps(pipeline) if distributed else ()
    if distributed:
        for step_name in spread:
            changes[f"jobs.{step_name}.resources.instance_count"] = distributed.instance_count
    job: Any = load_job(
        pipeline.document.path, params_override=[{key: value} for key, value in changes.items()]
    )
    for step_name, step in job.jobs.items():
        component = getattr(step, "trial", None) or step.component
        component.environment = image
        if distributed and step_name in spread:
            component.distribution = _distribution(distributed)
    return job


def _distribution(setting: DistributedSettings) -> Any:
    from azure.ai.ml import MpiDistribution, PyTorchDistribution, TensorFlowDistribution

    processes = setting.process_count_per_instance
    if setting.type == "tensorflow":  # counts workers, wherever they run
        return TensorFlowDistribution(worker_count=processes * setting.instance_count)
    kind = PyTorchDistribution if setting.type == "pytorch" else MpiDistribution
    return kind(process_count_per_instance=processes)


def follow(client: MLClient, name: str, report: Report) -> tuple[Job, dict[str, Job]]:
    """Wait for a job's end and say how its steps go; the job, and its steps by name."""
    said: dict[str, str] = {}
    wait = 1.0
    while True:
        job = client.jobs.get(name)
        steps = {str(c.display_name or c.name): c for c in client.jobs.list(parent_job_name=name)}
        for step, child in steps.items():
            status = status_of(child)
            if said.get(step) != status:
                said[step] = status
                report(f"{step}: {status.lower()}")
                wait = 1.0
        if status_of(job) in ENDED:
            renew()  # what follows signs in by itself: MLflow
            return job, steps
        time.sleep(wait)
        wait = min(wait * 1.5, LONGEST_WAIT)


def failure(job: Job, steps: dict[str, Job], log: str) -> MlopsError:
    """Why a job did not end well: the step, and the end of its log."""
    broken = next((name for name, step in steps.items() if status_of(step) == "Failed"), None)
    where = f"step `{broken}` of {job.name}" if broken else f"the job {job.name}"
    address = f"; see {job.studio_url}" if job.studio_url else ""
    tail = "\n".join(f"    {line}" for line in log.splitlines()[-20:])
    ending = f"; the end of its log:\n{tail}" if tail else ""
    return MlopsError(f"{where} ended as {status_of(job)}{address}{ending}")
