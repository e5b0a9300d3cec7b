"""What an environment needs in Azure: looking for it, and making what the SDK can make."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from mlops.documents import read_yaml
from mlops.infrastructure import create, parameters_file
from mlops.project import Environment, Project
from mlops.sources import load_sources
from mlops.workspaces import Requirement
from mlops.workspaces.azure.alert_rules import AlertRules, WatchedEndpoint
from mlops.workspaces.azure.arm import Arm
from mlops.workspaces.azure.images import (
    Purpose,
    image_name,
    image_version,
    is_registered,
    register_image,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ROLE_ASSIGNMENTS = "2022-04-01"  # the api-version


class EndpointInAzure(Protocol):
    """What is asked of an endpoint here, online or batch."""

    name: str

    def exists(self) -> bool:
        """Whether it is there."""

    def make(self) -> None:
        """Make it where it is not there."""


class Needs:
    """The requirements of one environment.

    The workspace and what lies around it are the infrastructure's: made by its files where the
    project has them, else by the infrastructure team. Images and endpoints are made by the SDK, and
    alert rules about an endpoint after it.
    """

    def __init__(
        self, project: Project, environment: Environment, client: MLClient, credential: Any,
        *, open_registry: Callable[[], MLClient], endpoints: Sequence[EndpointInAzure],
        watched: WatchedEndpoint | None = None,
    ) -> None:  # fmt: skip
        self._project, self._environment = project, environment
        self._client, self._credential = client, credential
        self._open_registry, self._endpoints = open_registry, endpoints
        self._watched = watched
        self._azure = environment.settings.azure
        self._file = parameters_file(project, environment)
        self._apply = f"mlops workspaces apply --env {environment.name}"

    def look(self) -> list[Requirement]:
        """Each requirement, and whether it is there; changes nothing."""
        workspace = self._infrastructure(
            f"workspace {self._azure.workspace}",
            lambda: self._client.workspaces.get(self._azure.workspace),
        )
        there = workspace.satisfied
        rest = [
            *self._resources(), *(self._roles() if there else ()), *self._alerts.mailed(),
            *self._made_by_the_sdk(), *self._alerts.rules(),
        ]  # fmt: skip
        if there:
            return [workspace, *rest]
        return [workspace, *(replace(need, satisfied=False) for need in rest)]

    def make(self) -> None:
        """Make what is missing: the infrastructure first, as the rest lies in it."""
        missing = {need.name for need in self.look() if need.makeable and not need.satisfied}
        made_later = {need.name for need in self._made_by_the_sdk(look=False)}
        made_later |= {need.name for need in self._alerts.rules()}
        if self._file and missing - made_later:
            create(self._project, self._environment, self._file)
        for purpose in self._purposes:
            register_image(self._client, self._project, purpose)
        for endpoint in self._endpoints:
            endpoint.make()
        self._alerts.make()

    # --- inside -------------------------------------------------------------------------------

    def _infrastructure(self, name: str, get: Callable[[], Any]) -> Requirement:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            there = get() is not None
        except ResourceNotFoundError:
            there = False
        return Requirement(name, there, *self._remedy())

    def _remedy(self) -> tuple[str, bool]:
        if self._file:
            return self._apply, True
        return "the infrastructure team makes it", False

    def _resources(self) -> Iterator[Requirement]:
        client, azure = self._client, self._azure
        yield self._infrastructure(
            f"cluster {azure.compute.name}", lambda: client.compute.get(azure.compute.name)
        )
        for datastore in self._datastores:
            get = functools.partial(client.datastores.get, datastore)
            yield self._infrastructure(f"datastore {datastore}", get)
        if azure.registry:
            yield self._infrastructure(f"registry {azure.registry}", self._open_registry)

    def _roles(self) -> Iterator[Requirement]:
        """That the groups hold their roles; nothing is asked of groups that are not named."""
        from azure.core.exceptions import HttpResponseError

        table = self._project.root / "infrastructure" / "roles.yml"
        if not table.is_file():
            return
        roles = read_yaml(table).data
        for persona, group in self._environment.settings.access:
            if not group:
                continue
            try:
                held = self._roles_of(group)
            except HttpResponseError as error:
                if error.status_code != 403:
                    raise
                who = "who may read role assignments, such as the infrastructure team, sees them"
                yield Requirement(f"roles of {persona}", False, who, makeable=False)
                continue
            for role in roles.get(persona, ()):
                if self._applies(role) and role.get("id") and role["scope"] in self._scopes:
                    scope = re.compile(self._scopes[role["scope"]], re.IGNORECASE)
                    yield Requirement(
                        f"{role['role']} on {role['scope'].replace('_', ' ')} for {persona}",
                        any(id_ == role["id"] and scope.search(at) for at, id_ in held),
                        *self._remedy(),
                    )

    def _applies(self, role: dict[str, Any]) -> bool:
        """Whether a role of the table is given in this environment, as main.bicep decides it."""
        project, here = self._project, self._environment.name
        others = [project.environment(n).settings.azure for n in project.environments if n != here]
        shared = any(other.workspace == self._azure.workspace for other in others)
        topology = "one-shared" if shared else "one-per-environment"
        if role["scope"] == "registry" and not self._azure.registry:
            return False
        if role["scope"] == "production" and not shared and here == project.environments[0]:
            return False
        network = self._azure.network
        return bool(
            role.get("workspaces", topology) == topology and role.get("network", network) == network
        )

    @property
    def _scopes(self) -> dict[str, str]:
        """How the scope of an assignment ends, for each scope of the table."""
        group = f"resourceGroups/{re.escape(self._azure.resource_group)}"
        account = "Microsoft.Storage/storageAccounts/[^/]+"
        container = f"{account}/blobServices/default/containers/"
        return {
            "resource_group": f"{group}$",
            "workspace": f"/workspaces/{re.escape(self._azure.workspace)}$",
            "registry": f"MachineLearningServices/registries/{self._azure.registry}$",
            "container_registry": "ContainerRegistry/registries/[^/]+$",
            "endpoint_identity": "ManagedIdentity/userAssignedIdentities/[^/]+$",
            "storage": f"{account}$",
            "data": f"{account}$",
            **{name: f"{container}{name}$" for name in ("raw", "training", "production")},
        }

    def _roles_of(self, principal: str) -> set[tuple[str, str]]:
        """The roles that a group holds, each with its scope: in the environment and its registry.

        Source: Azure's REST API, role assignments, list for a scope; the filter `principalId`
        finds those at, above and below the scope.
        """
        azure = self._azure
        shared = azure.registry_resource_group or f"rg-{azure.name_prefix}-registry"
        groups = [azure.resource_group, *([shared] if azure.registry else [])]
        found = set()
        for group in groups:
            for assignment in self._arm.list(
                f"/subscriptions/{azure.subscription_id}/resourceGroups/{group}"
                "/providers/Microsoft.Authorization/roleAssignments"
                f"?api-version={ROLE_ASSIGNMENTS}&$filter=principalId%20eq%20'{principal}'"
            ):
                its = assignment["properties"]
                role = str(its["roleDefinitionId"]).rpartition("/")[2].lower()
                found.add((str(its["scope"]), role))
        return found

    @cached_property
    def _arm(self) -> Arm:
        return Arm(self._credential)

    @cached_property
    def _alerts(self) -> AlertRules:
        return AlertRules(self._project, self._environment, self._arm, self._watched)

    def _made_by_the_sdk(self, *, look: bool = True) -> Iterator[Requirement]:
        for purpose in self._purposes:
            name = image_name(self._project, purpose)
            there = look and is_registered(self._client, self._project, purpose)
            version = image_version(self._project, purpose)
            yield Requirement(f"image {name}:{version}", there, self._apply)
        for endpoint in self._endpoints:
            yield Requirement(f"endpoint {endpoint.name}", look and endpoint.exists(), self._apply)

    @property
    def _purposes(self) -> list[Purpose]:
        online, batch = (self._environment.serves(kind) for kind in ("online", "batch"))
        chosen: dict[Purpose, bool] = {"training": True, "inference": online, "batch": batch}
        return [purpose for purpose, wanted in chosen.items() if wanted]

    @property
    def _datastores(self) -> list[str]:
        sources = load_sources(self._project)
        assets = sources.assets.values() if sources else ()
        places = [asset.location(self._environment.name) for asset in assets]
        return sorted({place.datastore for place in places if place})
