"""Training: a training pipeline as a job, and what its gate decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.data import training_data
from mlops.decisions import Decision, read_decision
from mlops.documents import InvalidFile
from mlops.errors import MlopsError, Refused, UsageError
from mlops.pipeline import Pipeline, is_local_path, literal
from mlops.pipeline_checks import inspect_literals, load_pipeline
from mlops.project import Project
from mlops.sources import check_type, load_sources
from mlops.step_checks import require_parameters_of_trials
from mlops.workspaces import DataVersion, Job, ModelVersion, Report, Workspace

DECISION_OUTPUT = "register.decision"


@dataclass(frozen=True)
class Training:
    """A finished training: its job, the gate's decision, and the version if it was accepted.

    `data` is the registered version that it read, if it read one.
    """

    job: Job
    decision: Decision
    card: Path
    version: ModelVersion | None
    data: DataVersion | None = None


def train(
    project: Project,
    workspace: Workspace,
    *,
    pipeline_name: str = "training",
    data: Path | None = None,
    settings: dict[str, str] | None = None,
    cache: bool = True,
    tags: dict[str, str] | None = None,
    report: Report,
) -> Training:
    """Train, evaluate, and register if the gate accepts.

    Args:
        project: gives the pipelines.
        workspace: where the job runs and the version is registered.
        pipeline_name: a file in `pipelines/`: `training`, or `sweep` for a search.
        data: a table, or a folder of tables where the pipeline reads one, in place of the registered
            data version, or of the pipeline's own table.
        settings: other inputs of the pipeline, as text.
        cache: whether unchanged steps are reused.
        tags: kept in the job's record, such as where `data` comes from.
        report: takes progress.

    Raises:
        UsageError: the pipeline or an input does not exist, or an input has the wrong type.
        Refused: the environment is not the first one, where models are trained; or its data is
            not what was registered.
        MlopsError: a step failed.
    """
    name = workspace.environment.name
    if name != project.environments[0]:
        raise Refused(
            f"models are trained in {project.environments[0]} and promoted from there; "
            f"run `mlops train --env {project.environments[0]}`"
        )
    pipeline = load_pipeline(project.pipeline(pipeline_name))
    _require_decision(pipeline)
    require_parameters_of_trials(project, pipeline)
    values: dict[str, Any] = typed_inputs(pipeline, settings or {})
    if "environment" in pipeline.inputs:
        values["environment"] = project.environment_file(name)
    if data is not None:
        _require_table(pipeline, data)
        values["data"] = data.resolve()
    version = None
    if "data" in pipeline.inputs and "data" not in values:
        version = data_version(project, workspace, pipeline)
    if version is not None:
        values["data"] = workspace.data().reference(version)
        report(f"data: {version}, {version.location}")
    inputs = pipeline.with_inputs(values)
    if version is None and "data" in inputs:
        table = Path(inputs["data"])
        inside = table.is_relative_to(project.root)
        report(f"data: {table.relative_to(project.root) if inside else table}")
    tags = {**(tags or {}), **({} if version is None else {"data_version": str(version)})}
    with workspace.lock():
        job = workspace.submit(pipeline, inputs, cache=cache, report=report, tags=tags)
    folder = job.outputs[DECISION_OUTPUT]
    decision = read_decision(folder / "decision.json")
    workspace.keep(decision)
    versions = {version.number: version for version in workspace.versions()}
    registered = versions.get(decision.version) if decision.version else None
    if decision.version and registered is None:
        raise MlopsError(
            f"{job.name} registered version {decision.version}, which is not there any more; "
            "run `mlops train --no-cache`"
        )
    return Training(job, decision, folder / "model_card.md", registered, version)


def data_version(project: Project, workspace: Workspace, pipeline: Pipeline) -> DataVersion | None:
    """The registered version of the data that the pipeline reads in place of its own table."""
    version = training_data(project, workspace)
    sources = load_sources(project)
    if version and sources and (wrong := list(check_type(sources, pipeline))):
        raise InvalidFile(wrong)
    return version


def _require_table(pipeline: Pipeline, data: Path) -> None:
    spec = pipeline.inputs.get("data")
    if isinstance(spec, dict) and spec.get("type") == "uri_folder":
        if not data.is_dir():
            raise UsageError(f"{data}: there is no such folder; give one of Parquet or CSV files")
    elif not data.is_file():
        raise UsageError(f"{data}: there is no such file; give a Parquet or CSV file")


def _require_decision(pipeline: Pipeline) -> None:
    name, _, output = DECISION_OUTPUT.partition(".")
    step = pipeline.steps.get(name)
    if step is None or output not in step.component.ports("outputs"):
        raise UsageError(f"{pipeline.document.path}: no step `{name}` with an output `{output}`")


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
