"""What the environments need in their workspaces: compare, and make what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops import infrastructure
from mlops.connection import connect, connection_file, is_connected
from mlops.errors import Refused, UsageError
from mlops.project import Environment, Project
from mlops.settings import AzureSettings
from mlops.workspaces import Report, Requirement, Workspace

Open = Callable[[str], Workspace]

# Characters. A comment on a pull request has room for 65,536: for this of four environments.
LONGEST_PART = 12_000


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

    def show(self) -> str:
        """What is missing, in a line: to be made by `apply` (`+`), or by whom else (`!`)."""
        needed = self.requirement
        what = f"{self.environment}: {needed.name}"
        return f"+ {what}" if needed.makeable else f"! {what}: {needed.remedy}"


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
    for name, file in _deployments(project, names):
        environment = project.environment(name)
        if environment.is_local:
            continue
        report(f"{name}: asking Azure what its infrastructure would change ...")
        try:
            yield name, infrastructure.what_if(project, environment, file)
        except UsageError as missing:
            report(str(missing))
            return


def plan_summary(title: str, text: str) -> str:
    """A part of a plan as Markdown. Indented, so that nothing in it is read as markup."""
    if len(text) > LONGEST_PART:
        text = f"{text[:LONGEST_PART]}\n... the rest stands in the log of this command"
    return f"## {title}\n\n" + "\n".join(f"    {line}" for line in text.splitlines())


def deploy_infrastructure(project: Project, names: Sequence[str], *, report: Report) -> list[str]:
    """Deploy the infrastructure of environments, in their order, and nothing else.

    Environments that share a deployment are deployed once; the names of those that stand for it.

    Raises:
        UsageError: the project has no files of an infrastructure, or an environment does not lie in
            Azure; nothing is deployed then. Or the Azure CLI is missing.
        MlopsError: Azure refused; what was made until then stays, and it can be run again.
    """
    for name in names:
        environment = project.environment(name)
        if infrastructure.parameters_file(project, environment) is None:
            raise UsageError(
                f"there is no infrastructure/{name}.bicepparam: this project does not make the "
                "Azure resources; leave out --infrastructure-only"
            )
        if environment.is_local:
            raise UsageError(
                f"{name} does not lie in Azure: its file names no subscription, or MLOPS_LOCAL is set"
            )
    deployments = _deployments(project, names)
    for name, file in deployments:
        report(f"{name}: deploying its infrastructure, that takes some minutes ...")
        infrastructure.create(project, project.environment(name), file)
    return [name for name, _ in deployments]


def deployments_of(project: Project) -> list[str]:
    """The environments to deploy one after another: of those that share a deployment, the first.

    Only environments that name a subscription, wherever this machine keeps its workspaces.
    """
    return [
        name
        for name, _ in _deployments(project, project.environments)
        if project.environment(name).settings.azure.subscription_id
    ]


def _deployments(project: Project, names: Sequence[str]) -> list[tuple[str, Path]]:
    """The deployments of environments: the first that belongs to it, and its file."""
    found: dict[Path, str] = {}
    for name in names:
        if file := infrastructure.parameters_file(project, project.environment(name)):
            found.setdefault(file, name)
    return [(name, file) for file, name in found.items()]


def location(project: Project, environment: Environment) -> str:
    """Where the workspace of an environment lies: a folder, or a resource in Azure."""
    azure = environment.settings.azure
    if environment.is_local:
        return f"{project.state.name}/{azure.workspace}"
    return f"{azure.workspace} in {azure.resource_group} of subscription {azure.subscription_id}"


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


def require_not_production(project: Project, lost: Sequence[str]) -> None:
    """Require that the last environment is not among those that would be deleted.

    Raises:
        Refused: it is.
    """
    if (production := project.environments[-1]) in lost:
        raise Refused(
            f"nothing is deleted: {production} lies in this resource group; only a person deletes "
            f"it, with `mlops workspaces delete --env {production}`"
        )


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
