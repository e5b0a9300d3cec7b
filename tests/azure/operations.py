"""Operations that take time: Azure answers at once and says where their state is to be had."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.azure.faults import Fault
from tests.azure.messages import ARM, LOCATION, Answer, Refusal
from tests.azure.resources import PROVIDER, Resource

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

# What is made by an operation that takes time.
LONG_RUNNING = (
    "workspaces", "workspaces/computes", "workspaces/schedules", "registries",
    "workspaces/onlineendpoints", "workspaces/onlineendpoints/deployments",
    "workspaces/batchendpoints", "workspaces/batchendpoints/deployments",
)  # fmt: skip

Work = Callable[[], None]


class Operations:
    """The operations of a subscription."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._states: dict[str, dict[str, Any]] = {}

    def start(
        self, resource: Resource, state: str, work: Work | None, fault: Fault | None
    ) -> tuple[Resource, dict[str, str]]:
        """Start an operation on a resource.

        Args:
            resource: what is made, changed or deleted.
            state: its provisioning state meanwhile.
            work: what there is to do in the background; None: the operation ends at once.
            fault: with which it fails.

        Returns:
            The resource as it is meanwhile, and the headers that say where the state is to be had.
        """
        number = str(uuid.uuid4())
        operation = self._states[number] = {"id": number, "name": number, "status": "InProgress"}
        properties = resource["properties"]
        properties["provisioningState"] = state

        def run() -> None:
            error = self._error_of(work, fault)
            with self._azure.lock:
                properties["provisioningState"] = "Failed" if error else "Succeeded"
                operation.update(status=properties["provisioningState"])
                operation.update({"error": error} if error else {})

        shown = copy.deepcopy(resource)
        if work:
            self._azure.background(run)
        else:
            run()
        return shown, self._poll("Azure-AsyncOperation", f"mfeOperationsStatus/{number}")

    def accept(self, work: Work, fault: Fault | None) -> Answer:
        """Do something whose result is an empty answer, to be had elsewhere."""
        number = str(uuid.uuid4())
        self._states[number] = {"id": number}
        try:
            if fault:
                raise fault.refusal(400)
            work()
        except Refusal as refusal:
            self._states[number]["error"] = refusal.error
        return Answer(202, None, self._poll("Location", f"mfeOperationResults/{number}"))

    def answer(self, path: str) -> Answer | None:
        """The state or the result of an operation; None if the path asks for neither."""
        found = re.search(r"/mfeOperations?(?P<what>Status|Results)/(?P<id>[\w-]+)$", path)
        if not found:
            return None
        operation = self._states[found["id"]]
        if found["what"] == "Status":
            return Answer(200, operation)
        error = operation.get("error")
        return Answer(400, {"error": error}) if error else Answer(200)

    @staticmethod
    def _error_of(work: Work | None, fault: Fault | None) -> dict[str, str] | None:
        """Do the work; the error with which it failed."""
        try:
            if fault:
                raise fault.refusal(400)
            if work:
                work()
        except Refusal as refusal:
            return refusal.error
        except Exception as unexpected:
            return {"code": "InternalServerError", "message": repr(unexpected)}
        return None

    def _poll(self, header: str, operation: str) -> dict[str, str]:
        """The headers that say where an operation's state is to be had."""
        locations = f"/subscriptions/{self._azure.subscription}{PROVIDER}locations/{LOCATION}"
        where = f"https://{ARM}{locations}/{operation}?api-version=2024-10-01"
        # `Retry-After: 0` makes azure-core wait its default, 30 seconds.
        return {header: where, "x-ms-retry-after-ms": "30"}
