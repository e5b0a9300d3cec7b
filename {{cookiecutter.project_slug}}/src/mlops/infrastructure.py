"""The infrastructure of an environment: what the Azure CLI does with the files of `infrastructure/`."""

from __future__ import annotations

from pathlib import Path

from mlops.project import Environment, Project
from mlops.tools import run


def parameters_file(project: Project, environment: Environment) -> Path | None:
    """The file that the environment is deployed with; None where the project has none."""
    folder = project.root / "infrastructure"
    names = (f"{environment.name}.bicepparam", "shared.bicepparam")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def what_if(project: Project, environment: Environment, file: Path) -> str:
    """What a deployment would make and change, in the words of Azure; changes nothing.

    Raises:
        UsageError: the Azure CLI is missing.
        MlopsError: Azure refused the files, or the person.
    """
    return _deployment("what-if", project, environment, file, "--no-prompt", "true")


def create(project: Project, environment: Environment, file: Path) -> None:
    """Make and change what the files say; what is there as they say stays as it is.

    Raises:
        UsageError: the Azure CLI is missing.
        MlopsError: Azure refused; what was made until then stays, and it can be run again.
    """
    _deployment("create", project, environment, file, "--output", "none")


def delete(project: Project, environment: Environment) -> None:
    """Delete the resource group with all that is in it.

    Raises:
        UsageError: the Azure CLI is missing.
        MlopsError: Azure refused.
    """
    azure = environment.settings.azure
    arguments = [
        "group", "delete", "--name", azure.resource_group,
        "--subscription", azure.subscription_id, "--yes",
    ]  # fmt: skip
    run("az", arguments, root=project.root)


def _deployment(
    act: str, project: Project, environment: Environment, file: Path, *more: str
) -> str:
    azure = environment.settings.azure
    arguments = [
        "deployment", "sub", act,
        "--name", f"{azure.name_prefix or environment.settings.model}-{file.stem}",
        "--location", azure.location, "--subscription", azure.subscription_id,
        "--parameters", file.relative_to(project.root).as_posix(), *more,
    ]  # fmt: skip
    return run("az", arguments, root=project.root)
