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


def _connection(project: Project, environment: Environment) -> Requirement:
    file = connection_file(project, environment).relative_to(project.root).as_posix()
    return Requirement(
        f"{file} (as environments/{environment.name}.yml)",
        is_connected(project, environment),
        f"mlops workspaces apply --env {environment.name}",
    )
