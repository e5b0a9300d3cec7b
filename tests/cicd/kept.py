"""What the jobs of a platform have left in the local workspaces, which stand for Azure."""

from __future__ import annotations

import time
from typing import Any

from mlops.decisions import Check, Decision, now
from mlops.files import write_json
from tests.loop.conftest import Loop

from .platforms import Platform, read_yaml


class Kept(Loop):
    """The workspaces of a hosted project, between two jobs."""

    def __init__(self, platform: Platform) -> None:
        platform.machine.begin()
        super().__init__(platform.machine.kept)
        self.desk = platform.desk

    def settings(self, environment: str) -> dict[str, Any]:
        """What `environments/<name>.yml` of the hosted project says."""
        settings: dict[str, Any] = read_yaml(self.desk / "environments" / f"{environment}.yml")
        return settings

    def digest(self, environment: str) -> str | None:
        """The digest of an environment's champion."""
        number = self.champion(environment)
        return self.tags(number, environment)["model_digest"] if number else None

    def traffic(self, environment: str) -> dict[str, int]:
        """The endpoint's traffic."""
        traffic: dict[str, int] = self.endpoint(environment).get("traffic", {})
        return traffic

    def raise_alarm(self, environment: str, signal: str, *, accepted: bool = False) -> None:
        """Keep a monitor's result about the champion, as a monitor would."""
        check = Check(rule=f"{signal} of mean_radius", value=0.9, limit=0.1, passed=accepted)
        decision = Decision(
            kind="monitor", environment=environment, model="churn-model",
            version=self.champion(environment), checks=(check,), facts={"signal": signal},
            time=now(),
        )  # fmt: skip
        folder = self.workspace(environment) / "decisions"
        write_json(folder / f"{time.time_ns():020d}-{environment}-monitor.json", decision.record())
