"""The monitoring stage: what the monitors found, whether the endpoint answers, and who must know.

A monitor keeps its result as a decision of kind `monitor` about the version that it looked at, with
its name as the fact `signal`. A result that was not accepted is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops.decisions import Check, Decision
from mlops.digests import digest_of
from mlops.errors import MlopsError, UsageError, redact
from mlops.probes import live_test
from mlops.project import Environment
from mlops.versions import contract_of, decide, find_version
from mlops.workspaces import ModelVersion, Report, Workspace

SIGNAL = "signal"
ENDPOINT = "endpoint"
# An alarm travels through an environment variable, which holds 128 kB.
CHECKS_SHOWN = 20
CHARACTERS_OF_A_CHECK = 300


class Alarm(BaseModel):
    """Something that a person must know, as one stage hands it to the next.

    `key` is the same as long as the alarm lasts: `<model>/<environment>/<signal>`. `body` is
    Markdown. `retrain` says whether the policy trains a new model for it. `state` changes when there
    is news: other rules failed, or another version.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    title: str
    body: str
    retrain: bool = False
    state: str = ""


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


def key_prefix_of(environment: Environment) -> str:
    """What the keys of an environment's alarms begin with."""
    return f"{environment.settings.model}/{environment.name}/"


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
    alarms = tuple(_alarm(workspace, version, r) for r in results if not r.accepted)
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


def title_of(result: Decision) -> str:
    """A result in a line: its signal, and whether it is an alarm."""
    verdict = "fine" if result.accepted else "ALARM"
    return f"{result.facts[SIGNAL]} of version {result.version}: {verdict}"


def _alarm(workspace: Workspace, version: ModelVersion, result: Decision) -> Alarm:
    signal, environment = str(result.facts[SIGNAL]), workspace.environment
    failed = [check for check in result.checks if not check.passed]
    retrain = signal in environment.settings.retraining.signals
    return Alarm(
        key=key_prefix_of(environment) + signal,
        title=f"{environment.name}: {signal}",
        body=redact(_body(version, result, failed, retrain)),
        retrain=retrain,
        state=digest_of([version.origin, sorted(check.rule for check in failed)])[:12],
    )


def _body(version: ModelVersion, result: Decision, failed: list[Check], retrain: bool) -> str:
    lines = [check.show()[:CHARACTERS_OF_A_CHECK] for check in failed[:CHECKS_SHOWN]]
    if more := failed[CHECKS_SHOWN:]:
        lines.append(f"and {len(more)} more")
    next_step = (
        f"A training starts, as `retraining` in environments/{result.environment}.yml says."
        if retrain
        else "No training starts for this signal."
    )
    return "\n\n".join(
        [
            f"`{result.facts[SIGNAL]}` is not as it should be for {version} in {result.environment} "
            f"(trained as {version.origin}), seen at {result.time}.",
            f"{len(failed)} of {len(result.checks)} checks failed:",
            _indented(lines),
            f'{next_step} What to look at: docs/runbook.md, "An alarm".',
            "This is closed when a newer result is accepted, or another version is in use.",
        ]
    )


def _indented(lines: list[str]) -> str:
    """Lines as a block of code, in which nothing is markup and nobody is mentioned."""
    return "\n".join(f"    {' '.join(line.split())}" for line in lines)
