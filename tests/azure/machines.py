"""What Azure's machines do with what they are given: jobs, online deployments, batch scoring.

All of it runs as processes of this machine with the packages of this Python, and reaches the
workspace as a job in Azure does: through MLflow, with the identity of the compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.azure.batch_endpoints import BatchEndpoints
from tests.azure.jobs import Jobs
from tests.azure.online_endpoints import OnlineEndpoints
from tests.azure.run_history import RunHistory
from tests.azure.runs import Runs

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


class Machines:
    """The machines of all workspaces."""

    def __init__(self, azure: StandIn) -> None:
        self.runs = Runs(azure)
        self.history = RunHistory(self.runs)
        self.jobs = Jobs(azure, self.runs)
        self.batch = BatchEndpoints(azure, self.runs)
        self.online = OnlineEndpoints(azure)
        self.scored = self.online.scored

    def stop(self) -> None:
        """End all that runs; nothing more is started."""
        self.runs.stop()
        self.online.stop()
