"""The monitoring stage: what the version in use is given and answers, compared, and who must know.

`monitoring/monitor.yml` says what is compared. The result of each signal is a decision of kind
`monitor` about the version, with the signal's name as a fact; one that is not accepted is an alarm.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlops import clock
from mlops.decisions import Check, Decision
from mlops.errors import MlopsError, UsageError
from mlops.monitoring.alarm import SIGNAL, SIGNAL_TYPE, Alarm, alarm_of, silence_of
from mlops.monitoring.compute import Computation
from mlops.monitoring.definition import DataWindow, Monitor, load_monitor
from mlops.monitoring.health import health_of
from mlops.monitoring.results import FeatureResult, HealthResult, MonitorResult, SignalResult
from mlops.monitoring.windows import spans_of
from mlops.probes import live_test
from mlops.project import Project
from mlops.versions import contract_of, decide, deployment_name, find_version
from mlops.workspaces import ModelVersion, Report, Workspace

ENDPOINT = "endpoint"


@dataclass(frozen=True)
class Monitoring:
    """What was found about the version in use, a decision per signal, and the alarms.

    `silent` are the signals of which nothing is known, now or from before: their tickets stay.
    `result` is None where there is no version in use, or no `monitoring/monitor.yml`.
    """

    version: ModelVersion | None
    result: MonitorResult | None
    results: tuple[Decision, ...]
    alarms: tuple[Alarm, ...]
    silent: tuple[Alarm, ...] = ()

    @property
    def retrain(self) -> bool:
        """Whether an alarm asks for a new model."""
        return any(alarm.retrain for alarm in self.alarms)

    def record(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return {
            "version": self.version.number if self.version else None,
            "state": self.result.state if self.result else "unknown",
            "results": [result.record() for result in self.results],
            "alarms": [alarm.model_dump() for alarm in self.alarms],
            "retrain": self.retrain,
            "monitor": self.result.model_dump(mode="json") if self.result else None,
        }


def monitor(
    project: Project,
    workspace: Workspace,
    *,
    ask: bool = True,
    at: datetime.datetime | None = None,
    report: Report,
) -> Monitoring:
    """Compare what was collected of the version in use with its reference, and ask the endpoint.

    A signal about which the data say nothing keeps the verdict that was last kept about this
    version: an empty window ends no alarm. What was found about an older version says nothing about
    the one that replaced it.

    Args:
        project: gives the monitor's definition.
        workspace: that of the environment to look at.
        ask: ask the endpoint, too, and keep the results. Without it nothing is written: the right
            to read is enough.
        at: the end of the windows, in UTC; default: now.
        report: takes progress.

    Raises:
        InvalidFile: the definition, or a threshold of the environment, is wrong.
        MlopsError: the workspace cannot be read.
    """
    at = at or clock.now()
    version, has_traffic = version_in_use(workspace)
    if version is None:
        name = workspace.environment.name
        report(f"{name} has no version in use: train and release one, and it is monitored")
        return Monitoring(None, None, (), ())
    definition = load_monitor(project, workspace.environment)
    result = None
    if definition is None:
        report("there is no monitoring/monitor.yml: only the endpoint is looked at")
    else:
        result = compute(project, workspace, version, definition, at, report)
    asked = None
    if ask and has_traffic:
        report(f"asking the endpoint, which serves {version} ...")
        asked = ask_endpoint(workspace, version)
    found = list(_decisions(workspace, version, result, asked))
    silent = _names_without_alert(result)
    if ask:
        for decision in found:
            workspace.keep(decision)
    newest = {str(d.facts[SIGNAL]): d for d in (*_kept(workspace, version, definition, at), *found)}
    results = tuple(newest[signal] for signal in sorted(newest))
    alarms = tuple(
        alarm_of(workspace.environment, version, each)
        for each in results
        if not each.accepted and each.facts[SIGNAL] not in silent
    )
    unheard = tuple(
        silence_of(workspace.environment, version, name)
        for name in _silent_names(result)
        if name not in newest
    )
    return Monitoring(version, result, results, alarms, unheard)


def compute(
    project: Project,
    workspace: Workspace,
    version: ModelVersion,
    definition: Monitor,
    at: datetime.datetime,
    report: Report,
) -> MonitorResult:
    """All that the monitor's signals and the endpoint's log say of a version; writes nothing."""
    environment = workspace.environment
    settings = environment.settings.monitoring
    kind = environment.watched_endpoint
    where = environment.endpoint(kind), deployment_name(version)
    computation = Computation(project, workspace, version, definition, where, at, report)
    signals = tuple(computation.signals())
    health = None
    if environment.serves("online"):
        window = DataWindow(lookback_window_size=definition.shortest_window.lookback_window_size)
        health = health_of(workspace, spans_of(window, at, settings.windows))
    problems = computation.problems()
    answered = health.requests - health.refused - health.errors if health else 0
    if answered and not computation.collected:
        problems += (
            f"{answered} requests were answered, and nothing was collected: is `data_collector` on "
            "in the deployment, and was its version trained since there is one?",
        )
    return MonitorResult(
        environment=environment.name, model=version.name, version=version.number,
        origin=version.origin, endpoint=where[0], deployment=where[1], made=at,
        minimum_rows=settings.minimum_rows, significance=settings.significance,
        signals=signals, health=health, problems=problems,
    )  # fmt: skip


def version_in_use(workspace: Workspace) -> tuple[ModelVersion | None, bool]:
    """The version with most of the traffic, or else the champion; and whether there is traffic."""
    if workspace.environment.serves("online"):
        serving = workspace.endpoint().in_use
        if serving:
            return find_version(workspace, serving.version), True
    return workspace.champion(), False


def ask_endpoint(workspace: Workspace, version: ModelVersion) -> tuple[Check, ...]:
    """Whether the endpoint answers clients."""
    contract = contract_of(workspace, version)
    try:
        return live_test(workspace, contract)
    except UsageError:
        raise
    except (MlopsError, OSError) as error:
        return (Check(rule="the endpoint is reached", value="no", passed=False, detail=str(error)),)


def checks_of(signal: SignalResult) -> tuple[Check, ...]:
    """A signal as checks: one for each metric that is breached, and one for all that are not."""
    failed = [check for feature in signal.breached for check in _breached(feature)]
    fine = [f for f in signal.features if f.state == "fine" and f.metrics]
    if not fine:
        return tuple(failed)
    detail = f"{signal.production_rows} rows"
    if len(fine) == 1:
        metrics = fine[0].metrics
        detail = ", ".join(f"{m.name} {m.value:.4g}" for m in metrics if m.value is not None)
    return (
        *failed,
        Check(rule="within the thresholds", value=float(len(fine)), passed=True, detail=detail),
    )


def _breached(feature: FeatureResult) -> Iterator[Check]:
    for metric in feature.metrics:
        if metric.breached:
            where = f"{feature.name}: " if feature.name else ""
            chance = "" if metric.p_value is None else f"p = {metric.p_value:.2g}"
            yield Check(
                rule=f"{where}{metric.name}", value=metric.value, limit=metric.threshold,
                comparison=metric.comparison, passed=False,
                detail="; ".join(filter(None, (chance, feature.note))),  # tickets show it: no values
            )  # fmt: skip


def _decisions(
    workspace: Workspace,
    version: ModelVersion,
    result: MonitorResult | None,
    asked: tuple[Check, ...] | None,
) -> Iterator[Decision]:
    for signal in result.signals if result else ():
        if checks := checks_of(signal):
            yield decide(
                workspace, "monitor", version, checks,
                **{SIGNAL: signal.name, SIGNAL_TYPE: signal.type},
            )  # fmt: skip
    health: HealthResult | None = result.health if result else None
    checks = (*(health.checks if health else ()), *(asked or ()))
    if checks:
        yield decide(workspace, "monitor", version, checks, **{SIGNAL: ENDPOINT})


def _kept(
    workspace: Workspace, version: ModelVersion, definition: Monitor | None, at: datetime.datetime
) -> Iterator[Decision]:
    """What was kept about the version until a time, of signals that there still are.

    Whether the endpoint answered counts for its moment only.
    """
    known = {*definition.signals, *definition.left_out} if definition else None
    for decision in workspace.decisions("monitor"):
        signal = decision.facts.get(SIGNAL)
        if not isinstance(signal, str) or signal == ENDPOINT or decision.version != version.number:
            continue
        earlier = clock.parse(decision.time, "the time of a decision") <= at
        if earlier and (known is None or signal in known):
            yield decision


def _silent_names(result: MonitorResult | None) -> list[str]:
    if result is None:
        return []
    names = [signal.name for signal in result.signals if signal.state == "unknown"]
    return [*names, ENDPOINT] if result.health and result.health.state == "unknown" else names


def _names_without_alert(result: MonitorResult | None) -> set[str]:
    return {signal.name for signal in result.signals if not signal.alert} if result else set()
