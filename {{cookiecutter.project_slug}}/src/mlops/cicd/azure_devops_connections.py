"""Service connections with workload identity federation: how pipelines sign in to Azure.

Azure DevOps chooses issuer and subject when it makes a connection: both are read from its answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlops.cicd.azure import INFRASTRUCTURE, Azure
from mlops.cicd.azure_devops_project import DevOps
from mlops.cicd.federation import Federation, file_item
from mlops.cicd.identities import Identity, credential, lingering
from mlops.cicd.plan import FILE, Command, Item, left, made_by, there, variable
from mlops.project import Project

SCHEME = "WorkloadIdentityFederation"
ISSUER, SUBJECT = "workloadIdentityFederationIssuer", "workloadIdentityFederationSubject"


@dataclass(frozen=True)
class Connections:
    """The service connections of the environments, of the monitoring and of the infrastructure."""

    project: Project
    devops: DevOps
    slug: str

    @cached_property
    def _there(self) -> dict[str, dict[str, Any]]:
        listed = self.devops.list("devops", "service-endpoint", "list")
        return {one["name"]: one for one in listed}

    def name(self, name: str) -> str:
        """What the connection of an environment is called."""
        if name not in self.project.environments:
            return f"azure-{self.slug}-{name}"
        ci_cd = self.project.environment(name).settings.ci_cd
        return (ci_cd and ci_cd.service_connection) or f"azure-{self.slug}-{name}"

    def id(self, name: str) -> str:
        """Its id; a placeholder for one that will be made."""
        found = self._there.get(self.name(name))
        return str(found["id"]) if found else f"$CONNECTION_{variable(name)}"

    def exists(self, name: str) -> bool:
        """Whether it is there."""
        return self.name(name) in self._there

    def items(self, azure: Azure, waiting: Collection[str]) -> list[Item]:
        """The connections, the credentials that let them in, and what the files say of them.

        There is none for those that are waiting for who approves of what goes there.
        """
        items = []
        for name, identity in azure.ready.items():
            if name in waiting:
                items += [self._waits(name), *lingering(
                    self.devops.reader, self.project, identity, name, self._issuer(name)
                )]  # fmt: skip
                continue
            connection = self._connection(name, identity)
            items.append(connection)
            if connection.state == "person":
                continue
            federation = self._federation(name)
            items.append(credential(self.devops.reader, identity, federation))
            if name in self.project.environments and INFRASTRUCTURE in azure.identities:
                items.append(file_item(self.project, name, federation))
        return items

    def _waits(self, name: str) -> Item:
        said = "is not made before somebody could approve of what goes there: see above"
        if self.exists(name):
            said = (
                "nobody could approve of what goes there: delete it, `az devops service-endpoint "
                f"delete --id {self.id(name)} --yes`, or make the teams; then run this again"
            )
        return left(f"service connection {self.name(name)}", said, needed=True)

    def _issuer(self, name: str) -> str:
        found = self._there.get(self.name(name)) or {}
        parameters = (found.get("authorization") or {}).get("parameters") or {}
        return str(parameters.get(ISSUER) or "")

    def _federation(self, name: str) -> Federation:
        found = self._there.get(self.name(name))
        if found is None:
            return Federation(f"$ISSUER_{variable(name)}", f"$SUBJECT_{variable(name)}")
        said = found["authorization"]["parameters"]
        return Federation(said[ISSUER], said[SUBJECT])

    def _connection(self, name: str, identity: Identity) -> Item:
        called = self.name(name)
        what = f"service connection {called}"
        found = self._there.get(called)
        if found is None:
            return made_by(what, *self._make(name, called, identity))
        authorization = found["authorization"]
        said = authorization.get("parameters") or {}
        if authorization["scheme"] != SCHEME or not (said.get(ISSUER) and said.get(SUBJECT)):
            return left(what, (
                "it signs in with a secret: convert it under Project settings, Service connections, "
                "or delete it, and run this again"
            ), needed=True)  # fmt: skip
        if (said.get("serviceprincipalid") or "").lower() != identity.client_id.lower():
            return left(what, (
                f"it signs in as {said.get('serviceprincipalid')}, not as {identity.name}: delete it, "
                f"`az devops service-endpoint delete --id {found['id']} --yes`, and run this again"
            ), needed=True)  # fmt: skip
        return there(what)

    def _make(self, name: str, called: str, identity: Identity) -> list[Command]:
        account = identity.account
        body = {
            "name": called,
            "type": "AzureRM",
            "url": "https://management.azure.com/",
            "authorization": {
                "scheme": SCHEME,
                "parameters": {
                    "tenantid": account.tenant, "serviceprincipalid": identity.client_id,
                },
            },
            "data": {
                "environment": "AzureCloud",
                "scopeLevel": "Subscription",
                "subscriptionId": account.subscription,
                "subscriptionName": account.name,
                "creationMode": "Manual",
            },
            "isShared": False,
            "isReady": True,
            "serviceEndpointProjectReferences": [{
                "name": called,
                "projectReference": {"id": self.devops.project_id, "name": self.devops.project},
            }],
        }  # fmt: skip
        key = variable(name)
        words = ("devops", "service-endpoint")
        create = (*words, "create", "--service-endpoint-configuration", FILE, *self.devops.where)
        show = (*words, "show", "--id", f"$CONNECTION_{key}", *self.devops.where)
        said = "authorization.parameters."
        return [
            Command("az", (*create, "--query", "id", "--output", "tsv"), body, f"CONNECTION_{key}"),
            Command(
                "az", (*show, "--query", said + ISSUER, "--output", "tsv"), keeps=f"ISSUER_{key}"
            ),
            Command(
                "az", (*show, "--query", said + SUBJECT, "--output", "tsv"), keeps=f"SUBJECT_{key}"
            ),
        ]
