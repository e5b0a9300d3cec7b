"""What the environments need in their workspaces: compare, and make what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.connection import connect, connection_file, is_connected
from mlops.project import Environment, Project
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
            "what": self.requirement.thing,
            "met": self.requirement.met,
            "remedy": "" if self.requirement.met else self.requirement.remedy,
        }


def inspect(project: Project, names: Sequence[str], workspace: Open) -> list[State]:
    """What each environment needs, and whether it is there; changes nothing."""
    states = []
    for name in names:
        environment = project.environment(name)
        if environment.settings.azure.subscription_id:
            states.append(State(name, _connection(project, environment)))
        states += [State(name, requirement) for requirement in workspace(name).requirements()]
    return states


def apply(project: Project, names: Sequence[str], workspace: Open, *, report: Report) -> int:
    """Make what is missing in each environment; the number of things that were made."""
    made = 0
    for name in names:
        environment = project.environment(name)
        connection = _connection(project, environment)
        if not connection.met:
            report(f"{name}: {connection.thing} ...")
            connect(project, environment)
            made += 1
        opened = workspace(name)
        with opened.lock():
            missing = [need.thing for need in opened.requirements() if not need.met]
            if missing:
                report(f"{name}: {', '.join(missing)} ...")
                opened.provide()
                made += len(missing)
    return made


def _connection(project: Project, environment: Environment) -> Requirement:
    file = connection_file(project, environment).relative_to(project.root).as_posix()
    return Requirement(
        f"{file}, as environments/{environment.name}.yml says",
        is_connected(project, environment),
        f"mlops workspaces apply --env {environment.name}",
    )
