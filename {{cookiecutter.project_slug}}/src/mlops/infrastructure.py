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


def endpoint_alerts_file(project: Project) -> Path | None:
    """The file with the alert rules about online endpoints; None where the project has none."""
    file = project.root / "infrastructure" / "endpoint_alerts.bicep"
    return file if file.is_file() else None


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


def create_endpoint_alerts(
    project: Project, environment: Environment, *,
    action_group: str, deployment: str, milliseconds: int,
) -> None:  # fmt: skip
    """Make the alert rules about an environment's online endpoint, which is there.

    Args:
        project: has `endpoint_alerts_file`.
        environment: has an online endpoint.
        action_group: the name of the one that is told.
        deployment: the one in use, which the rules about machines are about; or empty.
        milliseconds: which the 95th percentile of the latency may reach.

    Raises:
        UsageError: the Azure CLI is missing.
        MlopsError: Azure refused; what was made until then stays, and it can be run again.
    """
    azure, endpoint = environment.settings.azure, environment.endpoint("online")
    arguments = [
        "deployment", "group", "create",
        "--name", f"{endpoint}-alerts", "--resource-group", azure.resource_group,
        "--subscription", azure.subscription_id,
        "--template-file", "infrastructure/endpoint_alerts.bicep", "--parameters",
        f"workspaceName={azure.workspace}", f"endpointName={endpoint}",
        f"deploymentName={deployment}", f"actionGroupName={action_group}",
        f"p95Milliseconds={milliseconds}", "--output", "none",
    ]  # fmt: skip
    run("az", arguments, root=project.root)


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
