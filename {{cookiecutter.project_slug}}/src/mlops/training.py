"""Training: the training pipeline as a job, and what its gate decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.decisions import Decision, read_decision
from mlops.errors import MlopsError, Refused, UsageError
from mlops.pipeline import Pipeline, is_local_path, literal
from mlops.pipeline_checks import inspect_literals, load_pipeline
from mlops.project import Project
from mlops.workspaces import Job, ModelVersion, Report, Workspace

DECISION_OUTPUT = "register.decision"


@dataclass(frozen=True)
class Training:
    """A finished training: its job, the gate's decision, and the version if it was accepted."""

    job: Job
    decision: Decision
    card: Path
    version: ModelVersion | None


def train(
    project: Project,
    workspace: Workspace,
    *,
    data: Path | None = None,
    settings: dict[str, str] | None = None,
    cache: bool = True,
    report: Report,
) -> Training:
    """Train, evaluate, and register if the gate accepts.

    Args:
        project: gives the pipeline.
        workspace: where the job runs and the version is registered.
        data: a table in place of the pipeline's own.
        settings: other inputs of the pipeline, as text.
        cache: whether unchanged steps are reused.
        report: takes progress.

    Raises:
        UsageError: an input does not exist or has the wrong type.
        Refused: the environment is not the first one, where models are trained.
        StepFailed: a step failed.
    """
    name = workspace.environment.name
    if name != project.environments[0]:
        raise Refused(
            f"models are trained in {project.environments[0]} and promoted from there; "
            f"run `mlops train --env {project.environments[0]}`"
        )
    pipeline = load_pipeline(project.training_pipeline)
    values: dict[str, Any] = typed_inputs(pipeline, settings or {})
    if "environment" in pipeline.inputs:
        values["environment"] = project.environment_file(name)
    if data is not None:
        if not data.is_file():
            raise UsageError(f"{data}: there is no such file; give a Parquet or CSV file")
        values["data"] = data.resolve()
    inputs = pipeline.with_inputs(values)
    with workspace.lock():
        job = workspace.submit(pipeline, inputs, cache=cache, report=report)
    folder = job.outputs.get(DECISION_OUTPUT)
    if folder is None:
        raise MlopsError(
            f"{project.training_pipeline}: no step `register` with an output `decision`"
        )
    decision = read_decision(folder / "decision.json")
    workspace.keep(decision)
    versions = {version.number: version for version in workspace.versions()}
    version = versions[decision.version] if decision.version else None
    return Training(job, decision, folder / "model_card.md", version)


def default_data(project: Project) -> str:
    """The path of the training pipeline's own table, as the pipeline writes it."""
    return str(load_pipeline(project.training_pipeline).inputs["data"]["path"])


def typed_inputs(pipeline: Pipeline, settings: dict[str, str]) -> dict[str, Any]:
    """Settings from a command line in the types of the pipeline's inputs.

    Raises:
        UsageError: naming every setting that is unknown or has the wrong type.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in settings.items():
        spec = pipeline.inputs.get(name)
        if is_local_path(spec):
            values[name] = Path(text).resolve()
            if not values[name].exists():
                problems.append(f"`{name}` is {text!r}; there is no such file")
            continue
        values[name] = text if isinstance(literal(spec), str) else _read(text)
    known = {name: value for name, value in values.items() if name in pipeline.inputs}
    problems += [f"`{n}` {problem}" for n, problem in inspect_literals(pipeline, known).items()]
    if problems:
        raise UsageError("; ".join(problems))
    return values


def _read(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
