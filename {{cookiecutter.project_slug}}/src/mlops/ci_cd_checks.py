"""That the files of the CI/CD platform name its environments as `environments/<name>.yml` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlops.documents import Document, Finding, InvalidFile, read_yaml
from mlops.project import Environment, Project


def check_names(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    """What stands in these files and is not what `ci_cd` says; a file or key may be missing."""
    if (project.root / ".azure-pipelines").is_dir():
        yield from _in_variables(project, environments)
        return
    first = next((one for one in environments if one.name == project.environments[0]), None)
    if first is not None:
        for name in ("training.yml", "release.yml"):
            yield from _in_workflow(project, first, name)


def _in_variables(project: Project, environments: list[Environment]) -> Iterator[Finding]:
    document = _document(project, ".azure-pipelines/names.yaml")
    variables = _mapping(document and document.data).get("variables")
    for environment in environments:
        ci_cd = environment.settings.ci_cd
        for key in ("environment", "service_connection") if document and ci_cd else ():
            name, wanted = f"{key}_{environment.name}", getattr(ci_cd, key)
            said = _mapping(variables).get(name)
            if document and said is not None and wanted and said != wanted:
                yield document.finding(
                    f"`{name}` is `{said}`, but `ci_cd.{key}` of environments/{environment.name}.yml "
                    f"is `{wanted}`: write `{name}: {wanted}`", "variables", name,
                )  # fmt: skip


def _in_workflow(project: Project, environment: Environment, name: str) -> Iterator[Finding]:
    """One of the jobs that name an environment must name this one."""
    document = _document(project, f".github/workflows/{name}")
    said = {}
    for key, job in _mapping(_mapping(document and document.data).get("jobs")).items():
        at = _mapping(job).get("environment")
        at = at.get("name") if isinstance(at, dict) else at
        if isinstance(at, str) and "${{" not in at:
            said[key] = at
    ci_cd = environment.settings.ci_cd
    if document and ci_cd and said and ci_cd.environment not in said.values():
        key, at = next(iter(said.items()))
        yield document.finding(
            f"the job `{key}` runs in `{at}`, but `ci_cd.environment` of environments/"
            f"{environment.name}.yml is `{ci_cd.environment}`: write `environment: "
            f"{ci_cd.environment}`", "jobs", key, "environment",
        )  # fmt: skip


def _document(project: Project, path: str) -> Document | None:
    try:
        return read_yaml(project.root / path)
    except InvalidFile:
        return None  # missing, or not YAML: the platform says so


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
