"""The monitoring stage: what the monitors found, whether the endpoint answers, and who must know.

A monitor keeps its result as a decision of kind `monitor` about the version that it looked at, with
its name as the fact `signal`. A result that was not accepted is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops.decisions import Check, Decision
from mlops.errors import MlopsError, UsageError
from mlops.monitoring.alarm import SIGNAL, Alarm, alarm_of
from mlops.probes import live_test
from mlops.versions import contract_of, decide, find_version
from mlops.workspaces import ModelVersion, Report, Workspace

ENDPOINT = "endpoint"


@dataclass(frozen=True)
class Monitoring:
    """The newest result of each signal about the version in use, and the alarms."""

    version: ModelVersion | None
    results: tuple[Decision, ...]
    alarms: tuple[Alarm, ...]

    @property
    def retrain(self) -> bool:
        """Whether an alarm asks for a new model."""
        return any(alarm.retrain for alarm in self.alarms)

    def record(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return {
            "version": self.version.number if self.version else None,
            "results": [result.record() for result in self.results],
            "alarms": [alarm.model_dump() for alarm in self.alarms],
            "retrain": self.retrain,
        }


def monitor(workspace: Workspace, *, ask: bool = True, report: Report) -> Monitoring:
    """Read what the monitors found about the version in use, and ask the endpoint.

    Without `ask`, nothing is asked and nothing is written: the right to read is enough. What the
    endpoint answered earlier does not count then.
    What was found about an older version says nothing about the one that replaced it.

    Raises:
        MlopsError: the workspace cannot be read.
    """
    version, has_traffic = version_in_use(workspace)
    if version is None:
        report(f"{workspace.environment.name} has no version in use: there is nothing to monitor")
        return Monitoring(None, (), ())
    if ask and has_traffic:
        report(f"asking the endpoint, which serves {version} ...")
        workspace.keep(ask_endpoint(workspace, version))
    newest: dict[str, Decision] = {}
    for decision in workspace.decisions("monitor"):
        signal = decision.facts.get(SIGNAL)
        if not isinstance(signal, str) or decision.version != version.number:
            continue
        if signal != ENDPOINT or (ask and has_traffic):
            newest[signal] = decision
    results = tuple(newest[signal] for signal in sorted(newest))
    alarms = tuple(alarm_of(workspace.environment, version, r) for r in results if not r.accepted)
    return Monitoring(version, results, alarms)


def version_in_use(workspace: Workspace) -> tuple[ModelVersion | None, bool]:
    """The version with most of the traffic, or else the champion; and whether there is traffic."""
    if workspace.environment.serves("online"):
        endpoint = workspace.endpoint()
        served = {name: share for name, share in endpoint.traffic.items() if share}
        if served:
            name = max(served, key=lambda deployment: served[deployment])
            return find_version(workspace, endpoint.deployments[name].version), True
    return workspace.champion(), False


def ask_endpoint(workspace: Workspace, version: ModelVersion) -> Decision:
    """Whether the endpoint answers clients, as a result of the signal `endpoint`."""
    contract = contract_of(workspace, version)
    try:
        checks = live_test(workspace, contract)
    except UsageError:
        raise
    except (MlopsError, OSError) as error:
        checks = (
            Check(rule="the endpoint is reached", value="no", passed=False, detail=str(error)),
        )
    return decide(workspace, "monitor", version, checks, **{SIGNAL: ENDPOINT})
