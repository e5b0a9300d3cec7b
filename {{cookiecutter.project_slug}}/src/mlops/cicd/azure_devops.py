"""What the project needs in Azure DevOps: pipelines, environments, service connections, policies.

Source: Microsoft, "Azure DevOps Services REST API": environments, approvals and checks, pipeline
permissions, endpoints; and the reference of `az devops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlops.cicd import azure_devops_project, code_owners
from mlops.cicd.azure import (
    INFRASTRUCTURE,
    MONITORING,
    Azure,
    Options,
    azure_of,
    environments_of,
    platform_name,
)
from mlops.cicd.azure_devops_checks import CODE_OWNERS, Checks, Resource
from mlops.cicd.azure_devops_connections import Connections
from mlops.cicd.azure_devops_policies import policies
from mlops.cicd.azure_devops_project import DevOps
from mlops.cicd.plan import Command, Item, complete, left, made_by, number, there, variable
from mlops.cicd.refusals import Reader
from mlops.errors import UsageError
from mlops.project import Project

OWNED = f"{INFRASTRUCTURE}/main.bicep"
"""Who owns this file approves of what goes through the infrastructure's connection."""

WITHOUT_AZURE = ("integration", "template-update")
"""The pipelines that sign in nowhere: they are made first, the others once all else is there."""


def plan(project: Project, options: Options) -> list[Item]:
    """What is there in Azure DevOps and in Azure, and what is to be made; changes nothing.

    Raises:
        MlopsError: a tool is missing, not signed in, or refused.
    """
    if not (project.root / ".azure-pipelines").is_dir():
        raise UsageError(
            "this project has no .azure-pipelines: `mlops update --set ci_cd=azure-devops`"
        )
    slug = project.environment(project.environments[0]).settings.model
    reader = Reader(project.root)
    devops = azure_devops_project.find(reader, options, slug)
    checks, connections = Checks(project, devops), Connections(project, devops, slug)
    platform = AzureDevOps(project, devops, options, slug, checks)
    waiting = platform.waiting(connections)
    azure = azure_of(reader, project, waiting)
    where = f"{devops.organization}, {devops.project}, {devops.repository}, {devops.branch}"
    items = [there(f"repository: {where}"), *platform.environments(), *azure.items]
    items += connections.items(azure, waiting)
    items += platform.connection_checks(connections, azure, waiting)
    items += platform.pipelines(ready=complete(items))
    items += platform.permissions(connections, azure, waiting)
    owners = code_owners.read(project.root / CODE_OWNERS)
    items += policies(devops, owners, checks.teams, platform.planned_pipelines, slug)
    return [*items, *platform.rights()]


@dataclass(frozen=True)
class AzureDevOps:
    """The project, with what reads it."""

    project: Project
    devops: DevOps
    options: Options
    slug: str
    checks: Checks

    @cached_property
    def _environments(self) -> dict[str, str]:
        listed = self.devops.get("distributedtask", "environments")
        return {one["name"]: str(one["id"]) for one in listed["value"]}

    @cached_property
    def _pipelines(self) -> dict[str, str]:
        return {one["name"]: str(one["id"]) for one in self.devops.list("pipelines", "list")}

    @cached_property
    def made_pipelines(self) -> dict[str, str]:
        """The ids of the pipelines by their files' stems; placeholders for what will be made."""
        return {}

    @property
    def planned_pipelines(self) -> dict[str, str]:
        """Those that pull requests start. Without an approval, none signs in to the infrastructure."""
        stems = ("integration", INFRASTRUCTURE) if self.options.reviewers else ("integration",)
        return {stem: id_ for stem, id_ in self.made_pipelines.items() if stem in stems}

    def _named(self) -> dict[str, str]:
        """Each environment in Azure DevOps by its name in the project."""
        named = {one.name: platform_name(one) for one in environments_of(self.project)}
        if (self.project.root / INFRASTRUCTURE).is_dir():
            named[INFRASTRUCTURE] = f"{self.slug}-{INFRASTRUCTURE}"
        return named

    def _environment_id(self, name: str) -> str:
        return self._environments.get(name) or f"$ENVIRONMENT_{variable(name)}"

    def environments(self) -> list[Item]:
        """The environments: one job at a time; the last one waits for an approval."""
        items = []
        last = self.project.environments[-1]
        for name, called in self._named().items():
            id_ = self._environment_id(called)
            what = f"environment {called}"
            keeps = "" if called in self._environments else id_[1:]
            body = {"name": called, "description": f"{name} of {self.slug}"}
            make = self.devops.send("POST", "distributedtask", "environments", body, keeps)
            items.append(there(what) if not keeps else made_by(what, make))
            guarded = name == last and self.options.reviewers
            path = f"environments/{last}.yml" if guarded else ""
            items += self.checks.items(self._environment(name), lock=True, owned=path)
        return items

    def _environment(self, name: str) -> Resource:
        called = self._named()[name]
        return Resource("environment", self._environment_id(called), called)

    def _connection(self, connections: Connections, name: str) -> Resource:
        return Resource("endpoint", connections.id(name), connections.name(name))

    def waiting(self, connections: Connections) -> set[str]:
        """The names for which nobody could approve: no connection leads there."""
        if not self.options.reviewers:
            return set()
        last = self.project.environments[-1]
        guarded = [(last, self._environment(last), f"environments/{last}.yml")]
        if INFRASTRUCTURE in self._named():
            resource = self._connection(connections, INFRASTRUCTURE)
            guarded.append((INFRASTRUCTURE, resource, OWNED))
        return {name for name, one, path in guarded if not self.checks.approved(one, path)}

    def connection_checks(
        self, connections: Connections, azure: Azure, waiting: set[str]
    ) -> list[Item]:
        """What guards the connections, which any job of an authorized pipeline could name.

        A branch is not enough for the infrastructure: pull requests use it, after an approval.
        """
        items = []
        for name in azure.ready:
            if name in waiting and not connections.exists(name):
                continue
            guarded = name == INFRASTRUCTURE and self.options.reviewers
            resource = self._connection(connections, name)
            branch = "" if guarded else self.devops.branch
            items += self.checks.items(resource, owned=OWNED if guarded else "", branch=branch)
        return items

    def pipelines(self, *, ready: bool) -> list[Item]:
        """A pipeline for each file; those that sign in to Azure only when all is there for them."""
        items = []
        files = sorted((self.project.root / ".azure-pipelines").glob("*.yml"))
        for file in sorted(files, key=lambda one: one.stem not in WITHOUT_AZURE):
            name = f"{self.slug}-{file.stem}"
            what = f"pipeline {name}"
            if name in self._pipelines:
                self.made_pipelines[file.stem] = self._pipelines[name]
                items.append(there(what))
            elif ready or file.stem in WITHOUT_AZURE:
                keeps = f"PIPELINE_{variable(file.stem)}"
                self.made_pipelines[file.stem] = f"${keeps}"
                items.append(made_by(what, Command("az", (
                    "pipelines", "create", "--name", name, "--repository", self.devops.repository,
                    "--repository-type", "tfsgit", "--branch", self.devops.branch,
                    "--yml-path", f".azure-pipelines/{file.name}", "--skip-first-run", "true",
                    *self.devops.where, "--query", "id", "--output", "tsv",
                ), keeps=keeps)))  # fmt: skip
            else:
                items.append(left(what, (
                    "is made, so that it begins, when what is marked ! above is there; then run "
                    "this again"
                )))  # fmt: skip
        return items

    def permissions(self, connections: Connections, azure: Azure, waiting: set[str]) -> list[Item]:
        """Which pipelines may use an environment and a connection: those that need it, no others."""
        first = self.project.environments[0]
        items = []
        if MONITORING in azure.ready:
            id_, where = connections.id(MONITORING), connections.name(MONITORING)
            items += self._permission("endpoint", id_, where, [MONITORING])
        for name, called in self._named().items():
            infrastructure = name == INFRASTRUCTURE
            stems = [INFRASTRUCTURE, "teardown"] if infrastructure else ["release"]
            id_ = self._environment_id(called)
            items += self._permission("environment", id_, called, stems)
            if name in azure.ready and name not in waiting:
                stems += ["training"] if name == first else []
                where = connections.name(name)
                items += self._permission("endpoint", connections.id(name), where, stems)
        return items

    def _permission(self, kind: str, id_: str, called: str, stems: list[str]) -> list[Item]:
        wanted = {stem: self.made_pipelines.get(stem) for stem in stems}
        ids = {stem: one for stem, one in wanted.items() if one}
        if not ids:
            return []
        label = "environment" if kind == "environment" else "service connection"
        what = f"{label} {called} for {', '.join(ids)}"
        route = {"resourceType": kind, "resourceId": id_}
        found: dict[str, Any] = {}
        if not id_.startswith("$"):
            found = self.devops.get("pipelinePermissions", "pipelinePermissions", **route)
        have = {str(one["id"]) for one in found.get("pipelines") or [] if one.get("authorized")}
        every = (found.get("allPipelines") or {}).get("authorized", False)
        if every or set(ids.values()) <= have:
            return [there(what)]
        body = {"pipelines": [
            {"id": number(one), "authorized": True} for one in ids.values() if one not in have
        ]}  # fmt: skip
        area = "pipelinePermissions"
        return [made_by(what, self.devops.send("PATCH", area, area, body, **route))]

    def rights(self) -> list[Item]:
        """What no command gives the build service."""
        service = f"{self.devops.project} Build Service"
        page = f"{self.devops.organization}/{self.devops.project}/_settings".replace(" ", "%20")
        return [
            left(f"rights of {service} in the repository", (
                "for template-update and comments on pull requests: Contribute, Create branch, "
                f"Contribute to pull requests, under {page}/repositories, {self.devops.repository}, "
                "Security"
            )),
            left(f"rights of {service} to start pipelines", (
                f"for training and monitoring: Queue builds, on {self.slug}-release and "
                f"{self.slug}-training: Pipelines, the pipeline, Manage security; and Edit work items "
                f"in this node, for alarms: {page}/work-team, Areas, Security"
            )),
        ]  # fmt: skip
