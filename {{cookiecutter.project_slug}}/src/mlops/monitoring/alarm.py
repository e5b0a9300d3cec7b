"""Alarms: what a person must know, as one stage hands it to the next."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mlops.decisions import Check, Decision
from mlops.digests import digest_of
from mlops.errors import redact
from mlops.project import Environment
from mlops.workspaces import ModelVersion

SIGNAL = "signal"
"""The fact of a decision of kind `monitor` that names what it is about."""

SIGNAL_TYPE = "type"
"""The fact with the signal's type; a signal without one has the type that its name says."""

RETRAINING = "retraining"
"""The last part of the key of the alarm that a refused challenger is; no signal has that name."""

# An alarm travels through an environment variable, which holds 128 kB.
CHECKS_SHOWN = 20
CHARACTERS_OF_A_CHECK = 300
SIX = 6


class Alarm(BaseModel):
    """Something that a person must know.

    A `silent` one is none: nothing can be said of the signal now, so what is open of it stays so.
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
    silent: bool = False


def key_prefix_of(environment: Environment) -> str:
    """What the keys of an environment's alarms begin with."""
    return f"{environment.settings.model}/{environment.name}/"


def title_of(result: Decision) -> str:
    """A result in a line: its signal, and whether it is an alarm."""
    verdict = "fine" if result.accepted else "ALARM"
    return f"{result.facts[SIGNAL]} of version {result.version}: {verdict}"


def alarm_of(environment: Environment, version: ModelVersion, result: Decision) -> Alarm:
    """The alarm that a result about a version is, which was not accepted."""
    signal = str(result.facts[SIGNAL])
    failed = [check for check in result.checks if not check.passed]
    kind = result.facts.get(SIGNAL_TYPE, signal)
    retrain = kind in environment.settings.retraining.signals
    return Alarm(
        key=key_prefix_of(environment) + signal,
        title=f"{environment.name}: {signal}",
        body=redact(_body(version, result, failed, retrain)),
        retrain=retrain,
        state=_about(version) + digest_of(sorted(check.rule for check in failed))[:SIX],
    )


def silence_of(environment: Environment, version: ModelVersion, signal: str) -> Alarm:
    """That nothing can be said of a signal of a version now."""
    key = key_prefix_of(environment) + signal
    return Alarm(key=key, title="", body="", state=_about(version), silent=True)


def _about(version: ModelVersion) -> str:
    """What the state of each alarm about a version begins with."""
    return digest_of(version.origin)[:SIX]


def _body(version: ModelVersion, result: Decision, failed: list[Check], retrain: bool) -> str:
    lines = [check.show()[:CHARACTERS_OF_A_CHECK] for check in failed[:CHECKS_SHOWN]]
    if more := failed[CHECKS_SHOWN:]:
        lines.append(f"and {len(more)} more")
    next_step = (
        f"It asks for a training, as `retraining` in environments/{result.environment}.yml says."
        if retrain
        else "This signal asks for no training."
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
