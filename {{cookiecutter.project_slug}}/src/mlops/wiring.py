"""What the environments need in their workspaces: compare, and make what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlops import infrastructure
from mlops.connection import connect, connection_file, is_connected
from mlops.errors import Refused, UsageError
from mlops.project import Environment, Project
from mlops.settings import AzureSettings
from mlops.workspaces import Report, Requirement, Workspace

Open = Callable[[str], Workspace]


@dataclass(frozen=True)
class State:
    """A requirement of one environment."""

    environment: str
    requirement: Requirement

    def record(self) -> dict[str, Any]:
        """The state as JSON holds it."""
        return {
            "environment": self.environment,
            "what": self.requirement.name,
            "satisfied": self.requirement.satisfied,
            "remedy": "" if self.requirement.satisfied else self.requirement.remedy,
        }


def inspect(project: Project, names: Sequence[str], workspace: Open) -> list[State]:
    """What each environment needs, and whether it is there; changes nothing.

    Raises:
        UsageError: an environment's workspace cannot be opened from here.
        InvalidFile: an environment's file says something wrong.
    """
    states = []
    for name in names:
        environment = project.environment(name)
        if environment.settings.azure.subscription_id:
            states.append(State(name, _connection(project, environment)))
        states += [State(name, requirement) for requirement in workspace(name).requirements()]
    return states


def apply(project: Project, names: Sequence[str], workspace: Open, *, report: Report) -> int:
    """Make what is missing in each environment; the number of things that were made.

    Raises:
        UsageError: an environment's workspace cannot be opened from here.
        InvalidFile: an environment's file says something wrong.
        MlopsError: something could not be made; run it again when that is mended.
    """
    made = 0
    for name in names:
        environment = project.environment(name)
        connection = _connection(project, environment)
        if not connection.satisfied:
            report(f"{name}: making {connection.name} ...")
            connect(project, environment)
            made += 1
        opened = workspace(name)
        with opened.lock():
            missing = [
                need.name for need in opened.requirements() if not need.satisfied and need.makeable
            ]
            if missing:
                report(f"{name}: making {', '.join(missing)} ...")
                opened.provide()
                made += len(missing)
    return made


def infrastructure_changes(
    project: Project, names: Sequence[str], *, report: Report
) -> Iterator[tuple[str, str]]:
    """What the infrastructure's files would change in Azure, for each environment that has some.

    Environments that share a deployment are asked for once.
    """
    asked = set()
    for name in names:
        environment = project.environment(name)
        file = infrastructure.parameters_file(project, environment)
        if environment.is_local or file is None or file in asked:
            continue
        asked.add(file)
        report(f"{name}: asking Azure what its infrastructure would change ...")
        try:
            yield name, infrastructure.what_if(project, environment, file)
        except UsageError as missing:
            report(str(missing))
            return


def environments_in_group_of(project: Project, name: str) -> list[str]:
    """The environments that go with the resource group of one of them.

    Raises:
        Refused: the project did not make it.
        UsageError: it does not lie in Azure.
    """
    environment = project.environment(name)
    if environment.is_local:
        raise UsageError(f"{name} does not lie in Azure; `make clean` deletes local workspaces")
    azure = environment.settings.azure
    if infrastructure.parameters_file(project, environment) is None:
        raise Refused(
            f"{azure.resource_group} was not made by this project, which has no files of an "
            "infrastructure: ask who made it"
        )
    every = {other: project.environment(other).settings.azure for other in project.environments}
    return [other for other, its in every.items() if _group(its) == _group(azure)]


def _group(azure: AzureSettings) -> tuple[str, str]:
    """What tells a resource group from others; Azure's names know no case."""
    return azure.subscription_id.lower(), azure.resource_group.lower()


def name_to_confirm(project: Project, names: Sequence[str]) -> str:
    """What must be typed: the last of the environments, production if it is among them."""
    return max(names, key=project.environments.index)


def delete(project: Project, name: str, typed: str, *, report: Report) -> None:
    """Delete an environment's resource group, with all environments in it.

    Raises:
        Refused: the name that was typed is not the one that is asked for.
        UsageError: it does not lie in Azure, or the Azure CLI is missing.
        MlopsError: Azure refused.
    """
    lost = environments_in_group_of(project, name)
    if typed != (named := name_to_confirm(project, lost)):
        raise Refused(f"nothing is deleted: type `{named}`, not {typed!r}")
    report(f"deleting {', '.join(lost)}: that takes some minutes ...")
    infrastructure.delete(project, project.environment(name))


def _connection(project: Project, environment: Environment) -> Requirement:
    file = connection_file(project, environment).relative_to(project.root).as_posix()
    return Requirement(
        f"{file} (as environments/{environment.name}.yml)",
        is_connected(project, environment),
        f"mlops workspaces apply --env {environment.name}",
    )
