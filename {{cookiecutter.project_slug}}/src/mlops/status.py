"""The state of all environments at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mlops.decisions import Decision
from mlops.monitoring.alarm import SIGNAL
from mlops.workspaces import Endpoint, ModelVersion, Workspace


@dataclass(frozen=True)
class Overview:
    """The state of an environment as JSON holds it, and all decisions there, the oldest first."""

    state: dict[str, Any]
    decisions: tuple[Decision, ...]

    @property
    def traffic(self) -> dict[int, int]:
        """The share of the traffic of each version that has any, in percent."""
        deployments = (self.state["endpoint"] or {}).get("deployments", [])
        return {d["version"]: d["traffic"] for d in deployments if d["traffic"]}

    @property
    def in_use(self) -> dict[str, Any] | None:
        """The version with most of the traffic, or else the champion."""
        traffic = self.traffic
        if not traffic:
            return self.state["champion"]  # type: ignore[no-any-return]
        number = max(traffic, key=lambda version: traffic[version])
        return next((v for v in self.state["versions"] if v["version"] == number), None)

    @property
    def monitors(self) -> dict[str, Decision]:
        """The newest result of each signal about the version in use."""
        number = (self.in_use or {}).get("version")
        found = {
            str(decision.facts[SIGNAL]): decision
            for decision in self.decisions
            if decision.kind == "monitor"
            and decision.version == number
            and SIGNAL in decision.facts
        }
        return {signal: found[signal] for signal in sorted(found)}

    @property
    def newest(self) -> dict[str, Decision]:
        """The newest decision of each kind, but for the monitors'."""
        return {d.kind: d for d in self.decisions if d.kind != "monitor"}

    @property
    def troubles(self) -> list[Decision]:
        """The results of monitors that are alarms, and the newest decisions that refused.

        That no training started is none; that the model was refused which a training made, is.
        """
        return [
            *(result for result in self.monitors.values() if not result.accepted),
            *(decision for decision in self.newest.values() if is_refusal(decision)),
        ]

    @property
    def condition(self) -> Literal["fine", "breached", "unknown"]:
        """Breached if there is trouble; unknown if no monitor has a result."""
        if self.troubles:
            return "breached"
        return "fine" if self.monitors else "unknown"


def is_refusal(decision: Decision) -> bool:
    """Whether something was refused that was asked for: of a retraining, the model that it made."""
    if decision.kind == "retraining":
        return outcome_of(decision).get("result") == "refused"
    return not decision.accepted


def outcome_of(decision: Decision) -> dict[str, Any]:
    """What came of a retraining; empty where nothing has."""
    outcome = decision.facts.get("outcome")
    return outcome if isinstance(outcome, dict) else {}


def overview_of(workspace: Workspace) -> Overview:
    """What is in one environment: versions, the champion, the last decision, all decisions.

    And the online `endpoint`: None in an environment that has none.
    """
    versions = workspace.versions()
    champion = workspace.champion()
    decisions = workspace.decisions()
    online = workspace.environment.serves("online")
    state = {
        "environment": workspace.environment.name,
        # The metrics that the gate looks at.
        "gate": list(workspace.environment.settings.gate.floors),
        "champion": _version(champion) if champion else None,
        "versions": [_version(version) for version in versions],
        "endpoint": _endpoint(workspace.endpoint()) if online else None,
        "last_decision": decisions[-1].record() if decisions else None,
    }
    return Overview(state, tuple(decisions))


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "deployments": [
            {
                "name": deployment.name,
                "version": deployment.version,
                "traffic": endpoint.traffic.get(deployment.name, 0),
                "mirror": endpoint.mirror.get(deployment.name, 0),
                "created": deployment.created,
            }
            for deployment in endpoint.deployments.values()
        ],
    }


def _version(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "origin": version.origin,
        "created": version.created,
        "git_commit": version.tags.get("git_commit", ""),
        "git_dirty": version.tags.get("git_dirty", ""),
        "batch": version.tags.get(f"batch.{version.environment}", ""),
        "rollout": version.tags.get(f"rollout.{version.environment}", ""),
        "metrics": version.metrics,
    }
