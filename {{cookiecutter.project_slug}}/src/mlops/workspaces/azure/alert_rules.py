"""The alert rules of Azure Monitor: whether they are there, and making those about the endpoint.

The infrastructure makes whom Azure mails, and the rules about the workspace. A rule needs what it is
about: so those about the online endpoint are deployed when there is one, and once more when another
deployment is in use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

from mlops.infrastructure import create_endpoint_alerts, endpoint_alerts_file, parameters_file
from mlops.project import Environment, Project
from mlops.workspaces import Endpoint, Requirement
from mlops.workspaces.azure.arm import Arm

ACTION_GROUPS, METRIC_ALERTS = "2023-01-01", "2018-03-01"  # the api-versions

# What the rules of infrastructure/endpoint_alerts.bicep are called, after the endpoint.
ABOUT_THE_ENDPOINT = ("errors", "refusals", "latency")
ABOUT_THE_DEPLOYMENT = ("cpu", "memory")

WHO_SEES = "who may read the resource group, such as ML engineers, sees it"


class WatchedEndpoint(Protocol):
    """What is asked of an online endpoint here."""

    name: str

    def read(self) -> Endpoint:
        """The endpoint as it is now."""


class AlertRules:
    """What an environment needs in Azure Monitor; nothing, where its owner is not to be told.

    `endpoint` is its online endpoint, if it has one. Nothing is asked where the project's files do
    not make the infrastructure: then the alerts are somebody else's, too.
    """

    def __init__(
        self, project: Project, environment: Environment, arm: Arm, endpoint: WatchedEndpoint | None
    ) -> None:
        self._project, self._environment = project, environment
        self._arm, self._endpoint = arm, endpoint
        self._azure = environment.settings.azure
        file = parameters_file(project, environment) if environment.settings.alerts else None
        self._group = f"ag-{self._azure.name_prefix}-{file.stem}" if file else None
        self._apply = f"mlops workspaces apply --env {environment.name}"

    def mailed(self) -> Iterator[Requirement]:
        """Whom Azure mails: made with the infrastructure."""
        if not self._group:
            return
        name = f"action group {self._group}"
        try:
            there = self._group.lower() in self._named("actionGroups", ACTION_GROUPS)
        except PermissionError:
            yield Requirement(name, False, WHO_SEES, makeable=False)
            return
        yield Requirement(name, there, self._apply)

    def rules(self) -> Iterator[Requirement]:
        """The rules about the endpoint, and about the deployment with most of its traffic."""
        endpoint = self._endpoint
        if not (self._group and endpoint and endpoint_alerts_file(self._project)):
            return
        name = f"alert rules of endpoint {endpoint.name}"
        try:
            there = self._named("metricAlerts", METRIC_ALERTS)
        except PermissionError:
            yield Requirement(name, False, WHO_SEES, makeable=False)
            return
        address = f"/onlineEndpoints/{endpoint.name}".lower()
        yield Requirement(
            name,
            all(self._is_about(there, rule, address) for rule in ABOUT_THE_ENDPOINT)
            and self._threshold(there, "latency") == self._milliseconds,
            self._apply,
        )
        if deployment := self._in_use():
            address += f"/deployments/{deployment}".lower()
            yield Requirement(
                f"alert rules of deployment {deployment}",
                all(self._is_about(there, rule, address) for rule in ABOUT_THE_DEPLOYMENT),
                self._apply,
            )

    def make(self) -> None:
        """Deploy the rules about the endpoint, where one is missing or is about something else."""
        if any(need.makeable and not need.satisfied for need in self.rules()):
            create_endpoint_alerts(
                self._project, self._environment, action_group=self._group or "",
                deployment=self._in_use(), milliseconds=self._milliseconds,
            )  # fmt: skip

    # --- inside -------------------------------------------------------------------------------

    @property
    def _milliseconds(self) -> int:
        rollout = self._environment.settings.rollout
        return math.ceil(rollout.p95_ms) if rollout else 0

    def _in_use(self) -> str:
        """The deployment with most of the traffic; empty where none has any."""
        serving = self._endpoint.read().in_use if self._endpoint else None
        return serving.name if serving else ""

    def _named(self, kind: str, version: str) -> dict[str, Any]:
        """The resources of Azure Monitor in the group, by their names in small letters.

        Raises:
            PermissionError: who is signed in may not read them.
        """
        from azure.core.exceptions import HttpResponseError

        path = (
            f"/subscriptions/{self._azure.subscription_id}/resourceGroups/"
            f"{self._azure.resource_group}/providers/Microsoft.Insights/{kind}"
            f"?api-version={version}"
        )
        try:
            return {str(each["name"]).lower(): each for each in self._arm.list(path)}
        except HttpResponseError as error:
            if error.status_code == 404:  # the group is not there yet
                return {}
            if error.status_code == 403:
                raise PermissionError(str(error)) from error
            raise

    def _rule(self, there: dict[str, Any], rule: str) -> dict[str, Any]:
        name = self._endpoint.name if self._endpoint else ""
        found: dict[str, Any] = there.get(f"{name}-{rule}".lower(), {}).get("properties", {})
        return found

    def _is_about(self, there: dict[str, Any], rule: str, address: str) -> bool:
        scopes = self._rule(there, rule).get("scopes", [])
        return any(str(scope).lower().endswith(address) for scope in scopes)

    def _threshold(self, there: dict[str, Any], rule: str) -> float | None:
        criteria = self._rule(there, rule).get("criteria", {}).get("allOf", [])
        return criteria[0].get("threshold") if criteria else None
