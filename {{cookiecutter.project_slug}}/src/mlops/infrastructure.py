"""The infrastructure of an environment: what the Azure CLI does with the files of `infrastructure/`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mlops.errors import MlopsError, UsageError, redact
from mlops.project import Environment, Project


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
    _az(project, [
        "group", "delete", "--name", azure.resource_group,
        "--subscription", azure.subscription_id, "--yes",
    ])  # fmt: skip


def _deployment(
    act: str, project: Project, environment: Environment, file: Path, *more: str
) -> str:
    azure = environment.settings.azure
    return _az(project, [
        "deployment", "sub", act,
        "--name", f"{azure.name_prefix or environment.settings.model}-{file.stem}",
        "--location", azure.location, "--subscription", azure.subscription_id,
        "--parameters", file.relative_to(project.root).as_posix(), *more,
    ])  # fmt: skip


def _az(project: Project, arguments: list[str]) -> str:
    program = shutil.which("az")
    if program is None:
        raise UsageError(
            "the Azure CLI, `az`, is not installed; see https://aka.ms/azure-cli, and then run "
            f"`az login` and `az {' '.join(arguments)}`"
        )
    done = subprocess.run(
        [program, *arguments], cwd=project.root, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise MlopsError(f"az {' '.join(arguments)}\n{redact(done.stderr.strip())}")
    return done.stdout
