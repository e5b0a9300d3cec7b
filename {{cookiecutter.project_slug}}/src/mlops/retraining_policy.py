"""The policy of retraining: what asks for a training, and what stands against one.

`retraining` in `environments/<name>.yml` says it. All that counts is given here: nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from mlops.clock import parse
from mlops.contract import Contract
from mlops.decisions import Check
from mlops.documents import Finding, did_you_mean
from mlops.metrics import METRICS
from mlops.monitor_settings import RetrainingSettings
from mlops.monitoring.alarm import SIGNAL
from mlops.monitoring.definition import PERFORMANCE
from mlops.project import Environment
from mlops.retraining_request import Ask, TriggerKind

if TYPE_CHECKING:
    from mlops.monitoring.act import Monitoring

DAY = 86_400.0  # seconds
BREACHED, UNKNOWN = "breached", "unknown"
MONITORS_NAME = {"f1": "f1_score"}
"""What a metric of the gate is called in the monitor's result, where it has another name there."""
DID_NOT_ASK = "did not ask"
"""The fact with what else might have asked for a training."""


class Trigger(NamedTuple):
    """Something that may ask for a training; its check has passed if it does."""

    ask: Ask
    check: Check


@dataclass(frozen=True)
class NewRows:
    """The labelled rows that the model in use was not trained on.

    `count` is None where that is not known, and `detail` says why, or how they were counted.
    `since_last` are those since the last retraining, None where there was none.
    """

    count: int | None
    detail: str = ""
    since_last: int | None = None


def triggers(
    environment: Environment, found: Monitoring, trained: str, now: datetime
) -> list[Trigger]:
    """All that may ask for a training of the version in use.

    Args:
        environment: the environment, with the policy.
        found: what the monitor found about that version.
        trained: when the version was trained, in ISO 8601; empty where it is not known.
        now: the time, in UTC.

    Where the policy names new rows, that trigger always asks here: they are counted by whoever may
    read the data.
    """
    policy = environment.settings.retraining
    made = [*_of_signals(policy, found), *_of_performance(environment, found)]
    if policy.every_days is not None:
        made.append(_of_age(policy.every_days, trained, now))
    if policy.new_rows is not None:
        ask = Ask(trigger="rows", limit=float(policy.new_rows))
        made.append(Trigger(ask, check_of(ask, value="not counted yet")))
    return made


def by_hand(now: datetime) -> Trigger:
    """A person asks: each time it is something new."""
    ask = Ask(trigger="person", state=now.isoformat(timespec="milliseconds"))
    return Trigger(ask, check_of(ask))


def check_of(
    ask: Ask, *, value: float | str | None = None, asks: bool = True, detail: str = ""
) -> Check:
    """An ask as a check, which has passed if it asks; `value` replaces its own."""
    said = ask.value if value is None else value
    if ask.trigger == "signal":
        return Check(
            rule=ask.name, value=said if said is not None else BREACHED, limit=BREACHED,
            comparison="expected", passed=asks, detail=detail,
        )  # fmt: skip
    if ask.trigger == "performance":
        return Check(
            rule=f"live {ask.name}", value=said, limit=ask.limit, comparison="beyond",
            passed=asks, detail=detail,
        )  # fmt: skip
    if ask.trigger == "age":
        return Check(
            rule="days since the model in use was trained", value=said, limit=ask.limit,
            comparison="at least", passed=asks, detail=detail,
        )  # fmt: skip
    if ask.trigger == "rows":
        return Check(
            rule="new labelled rows since the last training", value=said, limit=ask.limit,
            comparison="at least", passed=asks, detail=detail,
        )  # fmt: skip
    return Check(rule="asked for by hand", value="yes", passed=asks, detail=detail)


def judge(
    policy: RetrainingSettings,
    asks: Sequence[Ask],
    last: datetime | None,
    rows: NewRows,
    now: datetime,
) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """Whether a training starts that these ask for: it does if something asks, and no limit fails.

    Args:
        policy: the environment's.
        asks: what asks for it.
        last: when the last retraining for the environment was, in UTC; None for none yet.
        rows: the new labelled rows.
        now: the time, in UTC.

    Returns:
        A check for each, which has passed if it asks now that the rows are counted; and the limits,
        none where nothing asks.
    """
    counted = [_counted(ask, rows) for ask in asks]
    kinds = {ask.trigger for ask, check in zip(asks, counted) if check.passed}
    if not kinds:
        return tuple(counted), ()
    forced = "person" in kinds
    limits = [_rate(policy, kinds, last, now, forced)]
    if policy.minimum_new_rows:
        limits.append(_enough(policy.minimum_new_rows, rows, forced))
    return tuple(counted), tuple(limits)


def decided(
    triggers: Sequence[Check], limits: Sequence[Check] = ()
) -> tuple[tuple[Check, ...], dict[str, str]]:
    """The checks of a decision, which is accepted if every one has passed, and its facts.

    One that asks is enough: then those that do not ask stand among the facts. Where none asks, they
    are the checks, and have failed.
    """
    asking = tuple(check for check in triggers if check.passed)
    if not asking:
        return tuple(triggers), {}
    silent = "; ".join(check.text for check in triggers if not check.passed)
    return (*asking, *limits), {DID_NOT_ASK: silent} if silent else {}


def check_retraining(environment: Environment, contract: Contract) -> Iterator[Finding]:
    """What the policy says that the contract, or the monitor, does not know."""
    policy, document = environment.settings.retraining, environment.document
    known = [*PERFORMANCE[contract.problem_type], *(["f1"] if contract.classes else [])]
    for name in policy.performance:
        if name not in known:
            yield document.finding(
                f"`{name}` is no metric of the live answers of a {contract.problem_type}"
                f"{did_you_mean(name, known)}",
                "retraining", "performance", name,
            )  # fmt: skip
    if policy.window_days is not None and contract.timestamp is None:
        yield document.finding(
            "`window_days` goes by the time of each row: name the column of it under `timestamp` in "
            "data/contract.yml, or write `window_days: null`",
            "retraining", "window_days",
        )  # fmt: skip


def _of_signals(policy: RetrainingSettings, found: Monitoring) -> Iterator[Trigger]:
    """A trigger for each alarm that the policy trains for, and each of its signals that is none."""
    states = {signal.type: signal.state for signal in found.result.signals} if found.result else {}
    types = {signal.name: signal.type for signal in found.result.signals} if found.result else {}
    fine = {str(result.facts.get(SIGNAL)) for result in found.results if result.accepted}
    breached = set()
    for alarm in found.alarms:
        if alarm.retrain:
            name = alarm.key.rpartition("/")[2]
            breached |= {name, types.get(name, name)}
            ask = Ask(trigger="signal", name=_plain(name), state=alarm.state)
            yield Trigger(ask, check_of(ask))
    for name in policy.signals:
        if name not in breached:
            ask = Ask(trigger="signal", name=name)
            state = states.get(name) or ("fine" if name in fine else "no result")
            yield Trigger(ask, check_of(ask, value=state, asks=False))


def _of_performance(environment: Environment, found: Monitoring) -> Iterator[Trigger]:
    policy = environment.settings.retraining
    values: dict[str, float] = {}
    for signal in found.result.signals if found.result else ():
        if signal.type == "model_performance" and signal.state != UNKNOWN:
            metrics = [metric for feature in signal.features for metric in feature.metrics]
            values |= {metric.name: metric.value for metric in metrics if metric.value is not None}
    for name, floor in policy.performance.items():
        value = values.get(MONITORS_NAME.get(name, name))
        metric = next((known[name] for known in METRICS.values() if name in known), None)
        asks = value is not None and metric is not None and metric.worse(value, floor)
        ask = Ask(trigger="performance", name=_plain(name), value=value, limit=floor)
        yield Trigger(ask, check_of(ask, value=UNKNOWN if value is None else value, asks=asks))


def _of_age(every_days: float, trained: str, now: datetime) -> Trigger:
    ask = Ask(trigger="age", limit=every_days)
    if not trained:
        return Trigger(ask, check_of(ask, value=UNKNOWN, asks=False))
    age = _days(parse(trained, "the time of training"), now)
    ask = Ask(trigger="age", value=round(age, 4), limit=every_days)
    return Trigger(ask, check_of(ask, asks=age >= every_days))


def _counted(ask: Ask, rows: NewRows) -> Check:
    """The check of an ask, now that the rows are counted."""
    if ask.trigger != "rows":
        return check_of(ask)
    count = rows.count
    if count is None:
        return check_of(ask, value=UNKNOWN, asks=False, detail=rows.detail)
    if rows.since_last is not None:
        count = min(count, rows.since_last)
    asks = ask.limit is not None and count >= ask.limit
    return check_of(ask, value=float(count), asks=asks, detail=rows.detail)


def _rate(
    policy: RetrainingSettings,
    kinds: set[TriggerKind],
    last: datetime | None,
    now: datetime,
    forced: bool,
) -> Check:
    limit, why = policy.at_most_every_days, ""
    if kinds == {"age"} and policy.every_days is not None:
        # The model stays as old as it is when its challenger is refused.
        limit, why = max(limit, policy.every_days), "its age alone asks"
    days = None if last is None else _days(last, now)
    return Check(
        rule="days since the last retraining",
        value="none yet" if days is None else days,
        limit=limit,
        comparison="at least",
        passed=days is None or days >= limit or forced,
        detail="does not count: asked for by hand" if forced else why,
    )


def _enough(limit: int, rows: NewRows, forced: bool) -> Check:
    """That there are enough new rows; what is not known does not stand in the way."""
    return Check(
        rule="new labelled rows to train on",
        value=UNKNOWN if rows.count is None else float(rows.count),
        limit=float(limit),
        comparison="at least",
        passed=rows.count is None or rows.count >= limit or forced,
        detail="does not count: asked for by hand" if forced else rows.detail,
    )


def _days(before: datetime, now: datetime) -> float:
    return max((now - before).total_seconds(), 0.0) / DAY


def _plain(name: str) -> str:
    """A name as a request may hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100]
