"""What lies above workspaces: the subscription, its resource groups, the roles given there, alerts."""

from __future__ import annotations

import re
from typing import Any

from tests.azure.messages import LOCATION, Answer, Refusal, Request

AUTHORIZATION = "/providers/Microsoft.Authorization"
INSIGHTS = "/providers/microsoft.insights/"
GROUP = re.compile("/subscriptions/[^/]+/resourceGroups/[^/]+", re.IGNORECASE)
PRINCIPAL = re.compile(r"(?:principalId eq |assignedTo\()'([^']+)'")


class Scopes:
    """A subscription with its resource groups, role assignments, and what is Azure Monitor's."""

    def __init__(self, subscription: str, tenant: str) -> None:
        self._subscription, self._tenant = subscription, tenant
        self._groups: set[str] = set()
        self.role_assignments: list[dict[str, str]] = []
        self.insights: dict[str, dict[str, Any]] = {}
        """Action groups and alert rules, by their paths in small letters."""

    def add_group(self, group: str) -> None:
        self._groups.add(group.lower())

    def check(self, path: str) -> None:
        """Refuse what lies in another subscription, or in a group that is not there."""
        parts = path.split("/")
        if len(parts) > 2 and parts[2].lower() != self._subscription:
            raise Refusal(
                404, "SubscriptionNotFound", f"The subscription '{parts[2]}' could not be found."
            )
        if len(parts) > 4 and parts[4].lower() not in self._groups:
            raise Refusal(
                404, "ResourceGroupNotFound", f"Resource group '{parts[4]}' could not be found."
            )

    def answer(self, request: Request) -> Answer:
        """Answer for the subscriptions and the resource groups."""
        if INSIGHTS in request.path.lower():  # asked for a list of a kind
            start = f"{request.path.lower()}/"
            found = [each for path, each in self.insights.items() if path.startswith(start)]
            return Answer(200, {"value": found})
        parts = request.path.split("/")
        subscription = {"id": f"/subscriptions/{self._subscription}", "displayName": "stand-in",
                        "subscriptionId": self._subscription, "tenantId": self._tenant,
                        "state": "Enabled"}  # fmt: skip
        if len(parts) < 4:
            return Answer(200, subscription if len(parts) == 3 else {"value": [subscription]})
        return Answer(200, {"id": request.path, "name": parts[4], "location": LOCATION,
                            "properties": {"provisioningState": "Succeeded"}})  # fmt: skip

    def answer_for_roles(self, request: Request) -> Answer:
        """Give a role, or list those that somebody has at a scope, above it or below it."""
        scope = re.split(AUTHORIZATION, request.path, flags=re.IGNORECASE)[0]
        if request.method == "PUT":
            properties = {"scope": scope, **request.body["properties"]}
            self.role_assignments.append(properties)
            return Answer(201, {"id": request.path, "properties": properties})
        principal = PRINCIPAL.search(request.query.get("$filter", ""))
        found = [
            role for role in self.role_assignments
            if scope.lower().startswith(role["scope"].lower())
            or role["scope"].lower().startswith(f"{scope.lower()}/")
            if principal is None or role["principalId"] == principal[1]
        ]  # fmt: skip
        values = [{"id": f"{role['scope']}{AUTHORIZATION}/roleAssignments/{number}",
                   "type": "Microsoft.Authorization/roleAssignments", "name": str(number),
                   "properties": role} for number, role in enumerate(found)]  # fmt: skip
        return Answer(200, {"value": values})
