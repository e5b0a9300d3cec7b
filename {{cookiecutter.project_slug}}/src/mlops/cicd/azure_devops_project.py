"""Where a project lies in Azure DevOps, and how `az` is called for it."""

from __future__ import annotations

import configparser
import re
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mlops.cicd.azure import Options
from mlops.cicd.plan import FILE, Command
from mlops.cicd.refusals import Reader
from mlops.errors import UsageError
from mlops.tools import run

API = "7.1-preview"

REMOTES = (
    r"https://(?:[^@/]+@)?(?P<server>dev\.azure\.com/[^/]+)/(?P<project>[^/]+)/_git/(?P<name>[^/]+)",
    r"git@ssh\.dev\.azure\.com:v3/(?P<owner>[^/]+)/(?P<project>[^/]+)/(?P<name>[^/]+)",
    r"https://(?:[^@/]+@)?(?P<server>[^/.]+\.visualstudio\.com)/(?:DefaultCollection/)?"
    r"(?P<project>[^/]+)/_git/(?P<name>[^/]+)",
)
"""The addresses that git pushes to."""


@dataclass(frozen=True)
class Place:
    """Addresses of the organization, the project and the repository."""

    organization: str
    project: str
    repository: str


@dataclass(frozen=True)
class DevOps:
    """The project and the repository as Azure DevOps knows them, with what reads them."""

    reader: Reader
    organization: str
    project: str
    project_id: str
    repository: str
    repository_id: str
    branch: str

    @property
    def where(self) -> tuple[str, ...]:
        """The arguments that name the project."""
        return ("--organization", self.organization, "--project", self.project, "--detect", "false")

    def list(self, *command: str) -> list[dict[str, Any]]:
        """What a command of az lists in the project."""
        listed: list[dict[str, Any]] = self.reader.ask(
            "az", *command, *self.where, "--output", "json"
        )
        return listed

    def get(self, area: str, resource: str, *query: str, **route: str) -> Any:
        """What the REST API answers."""
        asked = ("--query-parameters", *query) if query else ()
        return self.reader.ask(
            "az", *self._invoke(area, resource, "GET", route), *asked, "--output", "json"
        )

    def send(
        self, method: str, area: str, resource: str, body: Any, keeps: str = "", **route: str
    ) -> Command:
        """A change by the REST API; the id that it answers is kept under the name `keeps`."""
        words = (*self._invoke(area, resource, method, route), "--in-file", FILE)
        kept = ("--query", "id", "--output", "tsv") if keeps else ("--output", "none")
        return Command("az", (*words, *kept), body, keeps)

    def _invoke(
        self, area: str, resource: str, method: str, route: dict[str, str]
    ) -> tuple[str, ...]:
        routes = {"project": self.project, **route}
        return (
            "devops", "invoke", "--area", area, "--resource", resource, "--route-parameters",
            *(f"{name}={value}" for name, value in routes.items()), "--http-method", method,
            "--api-version", API, "--organization", self.organization, "--detect", "false",
        )  # fmt: skip


def find(reader: Reader, options: Options, repository: str) -> DevOps:
    """The project and the repository; `repository` is what it is called if nothing says so.

    Raises:
        UsageError: nothing says which organization or project, or there is none of that name.
    """
    place = _place(reader, options, repository)
    where = ("--organization", place.organization, "--detect", "false", "--output", "json")
    project = reader.ask("az", "devops", "project", "show", "--project", place.project, *where)
    found = reader.ask(
        "az", "repos", "show", "--repository", place.repository, "--project", place.project, *where
    )
    if not found.get("defaultBranch"):
        raise UsageError(
            f"the repository {place.repository} is empty: `git push -u origin HEAD`, and run this again"
        )
    return DevOps(
        reader, place.organization, project["name"], project["id"], found["name"], found["id"],
        found["defaultBranch"].removeprefix("refs/heads/"),
    )  # fmt: skip


def _place(reader: Reader, options: Options, repository: str) -> Place:
    pushed = _pushed_to(reader) or Place("", "", "")
    organization, project = options.organization or pushed.organization, options.project
    project = project or (pushed.project if organization == pushed.organization else "")
    if not (organization and project):
        said = configparser.ConfigParser(interpolation=None)
        said.read_string(run("az", ("devops", "configure", "--list"), root=reader.root))
        defaults = said["defaults"] if said.has_section("defaults") else {}
        organization = organization or defaults.get("organization", "")
        project = project or defaults.get("project", "")
    lacking = [
        option
        for option, value in (("--organization", organization), ("--project", project))
        if not value
    ]
    if lacking:
        raise UsageError(
            f"git pushes to no Azure DevOps, and az has no defaults: name {' and '.join(lacking)}, "
            "such as --organization https://dev.azure.com/NAME"
        )
    if "://" not in organization:
        organization = f"https://dev.azure.com/{organization}"
    same = (organization.rstrip("/"), project) == (pushed.organization, pushed.project)
    name = options.repository or (pushed.repository if same else "") or repository
    return Place(organization.rstrip("/"), project, name)


def _pushed_to(reader: Reader) -> Place | None:
    try:
        said = subprocess.run(
            ["git", "remote", "--verbose"], cwd=reader.root, capture_output=True, text=True
        ).stdout
    except OSError:
        return None
    # `origin` first: it is where a clone comes from.
    for line in sorted(said.splitlines(), key=lambda line: not line.startswith("origin\t")):
        for pattern in REMOTES:
            if found := re.fullmatch(rf"\S+\t{pattern}(?:\.git)? \(push\)", line):
                parts = found.groupdict()
                server = parts.get("server") or f"dev.azure.com/{parts['owner']}"
                return Place(f"https://{server}", unquote(parts["project"]), unquote(parts["name"]))
    return None
