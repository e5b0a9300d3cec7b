"""Approvals and checks in Azure DevOps: what guards an environment or a service connection.

Source: Microsoft, "Approvals and checks", and "Check configurations" of the REST API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlops.cicd import code_owners
from mlops.cicd.azure_devops_project import DevOps
from mlops.cicd.plan import Item, left, made_by, there
from mlops.project import Project

CODE_OWNERS = ".azure-pipelines/CODEOWNERS"

APPROVAL = {"id": "8c6f20a7-a545-4486-9777-f762fafe0d4d", "name": "Approval"}
EXCLUSIVE_LOCK = {"id": "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563", "name": "ExclusiveLock"}
TASK_CHECK = {"id": "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7", "name": "Task Check"}
BRANCH_CONTROL = {
    "id": "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b",
    "name": "evaluatebranchProtection",
    "version": "0.0.1",
}
WAIT = 43200
"""How long an approval waits: 30 days, in minutes."""


@dataclass(frozen=True)
class Resource:
    """What is guarded: an `environment`, or an `endpoint`, which people call a service connection."""

    type: str
    id: str
    name: str


@dataclass(frozen=True)
class Checks:
    """The checks of the project's resources, with who may approve."""

    project: Project
    devops: DevOps
    _read: dict[Resource, set[str]] = field(default_factory=dict)

    @cached_property
    def teams(self) -> dict[str, str]:
        """The ids of the project's teams, by name."""
        return {team["name"]: team["id"] for team in self.devops.list("devops", "team", "list")}

    def approved(self, resource: Resource, owned: str) -> bool:
        """Whether somebody approves of its use, or could: the owners of the file `owned`."""
        return bool(self._approvers(owned)[1]) or APPROVAL["id"] in self._have(resource)

    def items(
        self, resource: Resource, *, lock: bool = False, owned: str = "", branch: str = ""
    ) -> list[Item]:
        """One run at a time; the owners of the file `owned` approve; only for a branch."""
        items = []
        label = f"{resource.type.replace('endpoint', 'service connection')} {resource.name}"
        if lock:
            what = f"{label}: one run at a time"
            items.append(self._check(what, EXCLUSIVE_LOCK, resource, {}))
        if branch:
            items.append(self._check(f"{label}: only for {branch}", TASK_CHECK, resource, {
                "displayName": "Branch control",
                "definitionRef": BRANCH_CONTROL,
                "inputs": {
                    "allowedBranches": f"refs/heads/{branch}",
                    "ensureProtectionOfBranch": "true",
                    "allowUnknownStatusBranch": "false",
                },
            }))  # fmt: skip
        if owned:
            items.append(self._approval(label, resource, owned))
        return items

    def _approvers(self, path: str) -> tuple[list[str], list[str]]:
        owners = code_owners.read(self.project.root / CODE_OWNERS).of(path)
        names = [owner.rsplit("/", 1)[-1].lstrip("@") for owner in owners]
        return names, [self.teams[name] for name in names if name in self.teams]

    def _approval(self, label: str, resource: Resource, path: str) -> Item:
        names, ids = self._approvers(path)
        what = f"{label}: approved by {' or '.join(names) or 'nobody'}"
        if not self.approved(resource, path):
            return left(what, (
                f"the project has none of the teams that {CODE_OWNERS} names for {path}: make them, "
                "and run this again"
            ), needed=True)  # fmt: skip
        return self._check(what, APPROVAL, resource, {
            "approvers": [{"id": one} for one in ids],
            "executionOrder": "anyOrder",
            "minRequiredApprovers": 1,
            "requesterCannotBeApprover": True,
            "instructions": f"The owners of {path} approve.",
            "blockedApprovers": [],
        })  # fmt: skip

    def _have(self, resource: Resource) -> set[str]:
        """What guards it: the types of its checks; of a task, the task, as any task is one type."""
        if resource not in self._read:
            found = {"value": []} if resource.id.startswith("$") else self.devops.get(
                "PipelinesChecks", "configurations", f"resourceType={resource.type}",
                f"resourceId={resource.id}", "$expand=settings",
            )  # fmt: skip
            self._read[resource] = {
                _kind(check["type"], check.get("settings") or {}) for check in found["value"]
            }
        return self._read[resource]

    def _check(
        self, what: str, kind: dict[str, str], resource: Resource, settings: dict[str, Any]
    ) -> Item:
        if _kind(kind, settings) in self._have(resource):
            return there(what)
        target = {"type": resource.type, "id": resource.id, "name": resource.name}
        body = {"type": kind, "settings": settings, "resource": target, "timeout": WAIT}
        return made_by(what, self.devops.send("POST", "PipelinesChecks", "configurations", body))


def _kind(kind: dict[str, str], settings: dict[str, Any]) -> str:
    id_ = kind["id"].lower()
    task = (settings.get("definitionRef") or {}).get("id", "") if id_ == TASK_CHECK["id"] else ""
    return str(task).lower() or id_
