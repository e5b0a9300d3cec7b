"""All checks over the project's files, before anything runs or costs money."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlops.azure_checks import check_with_azure
from mlops.ci_cd_checks import check_names
from mlops.connection import connection_file, is_connected
from mlops.contract import Contract, load_contract
from mlops.distributed import distributed_steps
from mlops.documents import Document, Finding, InvalidFile, read_yaml
from mlops.errors import MlopsError, UsageError
from mlops.gate import check_settings
from mlops.monitoring.checks import check_monitor
from mlops.pipeline import PLACEHOLDER, is_local_path, read_pipeline
from mlops.pipeline_checks import inspect_pipeline
from mlops.project import Environment, Project
from mlops.retraining_policy import check_retraining
from mlops.settings import ENDPOINT_KINDS
from mlops.sources import check_sources, check_type, load_sources
from mlops.step_checks import check_step_function


def check_project(
    project: Project, environment: str | None = None, *, with_azure: bool = True
) -> list[Finding]:
    """Everything that is wrong in the project's files.

    Args:
        project: the project.
        environment: look at the settings of this one only.
        with_azure: also ask azure-ai-ml, which takes three seconds to import.
    """
    findings: list[Finding] = []
    contract = None
    try:
        contract = load_contract(project.contract)
    except InvalidFile as error:
        findings += error.findings
    readable = []
    for name in [environment] if environment else project.environments:
        try:
            readable.append(project.environment(name))
        except InvalidFile as error:
            findings += error.findings
        except UsageError as error:
            findings.append(Finding(project.root / "pyproject.toml", 1, str(error)))
    for settings in readable:
        findings += check_settings(settings, contract) if contract else ()
        findings += check_retraining(settings, contract) if contract else ()
        findings += _check_served(project, settings)
        findings += _check_connection(project, settings)
    findings += _check_endpoint_names(readable)
    findings += _check_approvals(readable)
    findings += check_names(project, readable)
    findings += _check_compute(project, readable)
    findings += _check_distributed(project, readable)
    if len(readable) == len(project.environments):
        findings += _check_unserved(project, readable)
    findings += _check_sources(project, readable)
    findings += check_monitor(project, readable, contract)
    for path in sorted((project.root / "pipelines").glob("*.yml")):
        findings += _check_pipeline(project, path, contract)
    for path in sorted(project.deployment.glob("*/deployment.yml")):
        findings += _check_deployment(path)
    findings += _check_syntax(project)
    if with_azure:
        # Where our own checks say something about a file, it would say the same again.
        named = {finding.path.resolve() for finding in findings}
        findings += [f for f in check_with_azure(project) if f.path.resolve() not in named]
    # Two pipelines may name the same component.
    return sorted(dict.fromkeys(findings), key=lambda finding: (str(finding.path), finding.line))


def _check_connection(project: Project, environment: Environment) -> Iterator[Finding]:
    """That Azure's SDK would look where the environment says that it lies."""
    if connection_file(project, environment).is_file() and not is_connected(project, environment):
        file = connection_file(project, environment)
        name = environment.name
        yield Finding(
            file if file.is_file() else environment.document.path,
            1 if file.is_file() else environment.document.line("azure"),
            f"{file.relative_to(project.root).as_posix()} and environments/{name}.yml name two "
            f"workspaces; `mlops workspaces apply --env {name}` writes what the environment says",
        )


def _check_compute(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    """That pipelines and deployments name the cluster that the environments have."""
    clusters = {e.settings.azure.compute.name for e in environments}
    files = [*project.root.glob("pipelines/*.yml"), *project.deployment.glob("*/deployment.yml")]
    for path in sorted(files) if clusters else ():
        try:
            document = read_yaml(path)
        except InvalidFile:
            continue  # the check of the file names it
        data: Any = document.data if isinstance(document.data, dict) else {}
        settings = data.get("settings")
        default = settings.get("default_compute") if isinstance(settings, dict) else None
        for named, keys in (
            (data.get("compute"), ("compute",)),
            (default, ("settings", "default_compute")),
        ):
            kind, _, name = str(named).partition(":")
            if kind == "azureml" and clusters != {name}:
                problem = (
                    f"`{named}` is not the cluster of every environment: "
                    f"`azure.compute.name` says {', '.join(sorted(clusters))}"
                )
                yield document.finding(problem, *keys)


def _check_distributed(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    """That there is a step to distribute, and a cluster with so many machines."""
    for environment in environments:
        azure = environment.settings.azure
        if azure.distributed is None:
            continue
        name, at = project.training_pipeline.name, ("azure", "distributed")
        try:
            steps = distributed_steps(read_pipeline(project.training_pipeline)[0])
        except InvalidFile:
            continue  # the check of the file names it
        if not steps:
            yield environment.document.finding(
                f"`azure.distributed` is for the step `train`, which pipelines/{name} has not", *at
            )
        if azure.distributed.instance_count > azure.compute.max_instances:
            yield environment.document.finding(
                f"`azure.distributed.instance_count` is {azure.distributed.instance_count}, but "
                f"`azure.compute.max_instances` is {azure.compute.max_instances}",
                *at, "instance_count",
            )  # fmt: skip


def _check_pipeline(project: Project, path: Path, contract: Contract | None) -> Iterator[Finding]:
    try:
        pipeline, findings = inspect_pipeline(path)
    except InvalidFile as error:
        yield from error.findings
        return
    yield from findings
    for component in {
        id(step.component): step.component for step in pipeline.steps.values()
    }.values():
        yield from check_step_function(project, component)
    data = pipeline.inputs.get("data")
    if (
        contract
        and path == project.training_pipeline
        and isinstance(data, dict)
        and is_local_path(data)
    ):
        yield from _check_data(pipeline.document, path.parent / data["path"], contract)


def _check_sources(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    try:
        sources = load_sources(project)
    except InvalidFile as error:
        yield from error.findings
        return
    if sources is None:
        return
    if len(environments) == len(project.environments):
        yield from check_sources(sources, environments)
    with suppress(InvalidFile):  # the check of the pipeline names it
        yield from check_type(sources, read_pipeline(project.training_pipeline)[0])


def _check_data(document: Document, path: Path, contract: Contract) -> Iterator[Finding]:
    from mlops.tables import check_table

    if not path.is_file():
        return  # the pipeline's own check names it
    try:
        check_table(path, contract)
    except MlopsError as error:
        yield document.finding(str(error), "inputs", "data")


def _check_syntax(project: Project) -> Iterator[Finding]:
    """That the model's own code is Python."""
    for path in sorted(project.package.rglob("*.py")):
        try:
            ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            yield Finding(path, getattr(error, "lineno", None) or 1, f"this is not Python: {error}")


def _check_served(project: Project, environment: Environment) -> Iterator[Finding]:
    """That each endpoint of an environment is described."""
    for kind in ENDPOINT_KINDS:
        files = [project.deployment / kind / name for name in ("endpoint.yml", "deployment.yml")]
        missing = [
            path.relative_to(project.root).as_posix() for path in files if not path.is_file()
        ]
        if environment.serves(kind) and missing:
            yield environment.document.finding(
                f"`endpoints.{kind}` needs {' and '.join(missing)}: write what is missing, "
                "or take the name away", "endpoints", kind,
            )  # fmt: skip


def _check_unserved(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    """That no deployment is described that no environment has an endpoint for."""
    for kind in ENDPOINT_KINDS:
        folder = project.deployment / kind
        described = sorted(folder.glob("*.yml"))
        if described and not any(environment.serves(kind) for environment in environments):
            yield Finding(
                described[0], 1,
                f"no environment has an endpoint for this: name one under `endpoints.{kind}`, or "
                f"remove {folder.relative_to(project.root).as_posix()}",
            )  # fmt: skip


def _check_endpoint_names(environments: list[Environment]) -> Iterator[Finding]:
    """That no two endpoints have the same name: a name is unique in an Azure region."""
    taken: dict[str, str] = {}
    for environment in environments:
        for kind in filter(environment.serves, ENDPOINT_KINDS):
            name = environment.endpoint(kind)
            if name in taken:
                yield environment.document.finding(
                    f"`endpoints.{kind}` is `{name}`, the name of {taken[name]}; names of "
                    "endpoints are unique in an Azure region: write another", "endpoints", kind,
                )  # fmt: skip
            taken.setdefault(name, f"{environment.name}'s {kind} endpoint")


def _check_approvals(environments: list[Environment]) -> Iterator[Finding]:
    """That who approves one environment on the CI/CD platform does not approve another with it."""
    taken: dict[str, str] = {}
    for environment in environments:
        if environment.settings.ci_cd:
            name = environment.settings.ci_cd.environment
            if name in taken:
                yield environment.document.finding(
                    f"`ci_cd.environment` is `{name}`, as in {taken[name]}: whoever approves one "
                    "would approve both; write another", "ci_cd", "environment",
                )  # fmt: skip
            taken.setdefault(name, f"environments/{environment.name}.yml")


def _check_deployment(path: Path) -> Iterator[Finding]:
    try:
        document = read_yaml(path)
    except InvalidFile as error:
        yield from error.findings
        return
    data: Any = document.data if isinstance(document.data, dict) else {}
    code = data.get("code_configuration")
    if not isinstance(code, dict) or not code.get("code") or not code.get("scoring_script"):
        yield document.finding("`code_configuration` needs `code` and `scoring_script`")
        return
    folder = path.parent / str(code["code"])
    if not folder.is_dir():
        yield document.finding(
            f"the folder {code['code']} is missing", "code_configuration", "code"
        )
    elif not (folder / str(code["scoring_script"])).is_file():
        problem = f"the file {code['scoring_script']} is missing in {code['code']}"
        yield document.finding(problem, "code_configuration", "scoring_script")
    for key in PLACEHOLDER.findall(str(data)):
        yield document.finding(f"a deployment has no placeholders, but names {'.'.join(key)}")
