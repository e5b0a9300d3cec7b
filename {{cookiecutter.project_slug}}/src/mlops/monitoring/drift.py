"""Drift: how far the values of each column are from those of the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlops.contract import Column
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.columns import ColumnProfile, TableProfile
from mlops.monitoring.definition import AT_LEAST, Signal
from mlops.monitoring.distances import categorical_distance, numerical_distance, shared_edges
from mlops.monitoring.distributions import Categories, Numbers
from mlops.monitoring.results import Distribution, FeatureResult, MetricResult, Point, State
from mlops.monitoring.significance import holm, of_categories, of_numbers
from mlops.monitoring.windows import Span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

LABELS_SHOWN = 12
NAMES_SHOWN = 3
History = Sequence[tuple[Span, TableProfile]]


class Charts(NamedTuple):
    """The distributions of a column in the reference and in production; bins or labels are shared."""

    reference: Distribution | None = None
    production: Distribution | None = None


def drifted(
    columns: Mapping[str, Column],
    reference: TableProfile,
    history: History,
    signal: Signal,
    settings: MonitoringSettings,
) -> tuple[FeatureResult, ...]:
    """A result per column, in their order.

    Args:
        columns: those to look at, as the contract describes them.
        reference: the profile to compare with.
        history: the profiles of the windows, the present one last.
        signal: gives metrics and thresholds.
        settings: the least rows, and the chance of a false alarm that is allowed.
    """
    reasons = {
        name: _silence(column, reference.columns.get(name), history[-1][1], name, settings)
        for name, column in columns.items()
    }
    compared = [name for name, reason in reasons.items() if not reason]
    chances = holm([_chance(reference.columns[n], history[-1][1].columns[n]) for n in compared])
    chance = dict(zip(compared, chances))
    return tuple(
        FeatureResult(
            name=name, unit=column.unit, state="unknown", note=reasons[name],
            kind=reference.columns[name].kind if name in reference.columns else "",
            **charts(reference.columns.get(name), history[-1][1].columns.get(name))._asdict(),
        )
        if name not in chance
        else _result(name, column, reference, history, signal, settings, chance[name])
        for name, column in columns.items()
    )  # fmt: skip


def charts(reference: ColumnProfile | None, production: ColumnProfile | None) -> Charts:
    """The distributions of a column here and there, with the same bins or labels."""
    if reference is None or production is None:
        return Charts()
    here, there = production.values, reference.values
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        if not there.count or not here.count:
            return Charts(
                _summary(reference, _edges_of(there)), _summary(production, _edges_of(here))
            )
        edges = shared_edges(there, here)
        return Charts(_summary(reference, edges), _summary(production, edges))
    if isinstance(here, Categories) and isinstance(there, Categories):
        names, before, now = there.aligned(here)
        return Charts(
            _shares(reference, names, before, before + now),
            _shares(production, names, now, before + now),
        )
    return Charts()


def names_of(values: Sequence[str]) -> str:
    """Some values, for a note."""
    shown = ", ".join(f"`{value[:40]}`" for value in values[:NAMES_SHOWN])
    more = len(values) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _silence(
    column: Column,
    reference: ColumnProfile | None,
    production: TableProfile,
    name: str,
    settings: MonitoringSettings,
) -> str:
    """Why nothing can be said of a column; empty where it can."""
    if column.type == "timestamp":
        return "a timestamp always moves on; it is not compared"
    if not column.collect:
        return "its values are not collected (data/contract.yml: `collect: false`)"
    if not production.rows:
        return "nothing was collected in this window"
    profile = production.columns[name]
    if not profile.values.count:
        what = "its values have another type" if profile.errors else "no row has a value"
        return f"{what}; see data_quality"
    if profile.values.count < settings.minimum_rows:
        return f"{profile.values.count} values in this window, {settings.minimum_rows} are needed"
    if reference is None or not reference.values.count:
        return "the reference has no value"
    if reference.values.count < settings.minimum_rows:
        return (
            f"{reference.values.count} values in the reference, {settings.minimum_rows} are needed"
        )
    return ""


def _chance(reference: ColumnProfile, production: ColumnProfile) -> float:
    here, there = production.values, reference.values
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        return of_numbers(there, here)
    assert isinstance(here, Categories) and isinstance(there, Categories)
    return of_categories(there, here)


def distance_of(metric: str, reference: ColumnProfile, production: ColumnProfile) -> float:
    """A metric of drift between two profiles of a column, with a value each."""
    here, there = production.values, reference.values
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        return numerical_distance(metric, there, here)
    assert isinstance(here, Categories) and isinstance(there, Categories)
    return categorical_distance(metric, there, here)


def _result(
    name: str,
    column: Column,
    reference: TableProfile,
    history: History,
    signal: Signal,
    settings: MonitoringSettings,
    chance: float,
) -> FeatureResult:
    before, now = reference.columns[name], history[-1][1].columns[name]
    thresholds = signal.thresholds(before.kind)
    points = []
    for span, profile in history:
        then = profile.columns[name]
        enough = then.values.count >= settings.minimum_rows
        values = {
            metric: distance_of(metric, before, then) if enough else None for metric in thresholds
        }
        points.append(Point(start=span.start, end=span.end, rows=profile.rows, values=values))
    metrics = []
    for metric, threshold in thresholds.items():
        value = points[-1].values[metric]
        assert value is not None
        at_least = metric in AT_LEAST
        beyond = value < threshold if at_least else value > threshold
        metrics.append(
            MetricResult(
                name=metric, value=value, threshold=threshold, p_value=chance,
                comparison="at least" if at_least else "at most",
                breached=beyond and chance < settings.significance,
            )
        )  # fmt: skip
    return FeatureResult(
        name=name, kind=before.kind, unit=column.unit, metrics=tuple(metrics),
        state=_state_of(metrics), note=_peculiar(before, now), history=tuple(points),
        **charts(before, now)._asdict(),
    )  # fmt: skip


def _state_of(metrics: Sequence[MetricResult]) -> State:
    if not metrics:
        return "unknown"
    return "breached" if any(metric.breached for metric in metrics) else "fine"


def _peculiar(reference: ColumnProfile, production: ColumnProfile) -> str:
    """What a person should know of a column, besides its metrics."""
    here, there = production.values, reference.values
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        if here.minimum == here.maximum:
            also = ", as in the reference" if there.minimum == there.maximum else ""
            return f"every value is {here.minimum:g}{also}"
        if there.minimum == there.maximum:
            return f"in the reference, every value is {there.minimum:g}"
    if isinstance(here, Categories) and isinstance(there, Categories):
        if new := here.unknown_to(there):
            return f"new: {names_of(sorted(new, key=lambda value: -new[value]))}"
    return ""


def _edges_of(values: Numbers) -> Array | None:
    return shared_edges(values, values) if values.count else None


def _summary(profile: ColumnProfile, edges: Array | None) -> Distribution:
    values = profile.values
    assert isinstance(values, Numbers)
    if edges is None or not values.count:
        return Distribution(rows=profile.rows, nulls=profile.nulls)
    shares = values.counts(edges) / values.count
    return Distribution(
        rows=profile.rows, nulls=profile.nulls, edges=tuple(edges.tolist()),
        shares=tuple(shares.tolist()), mean=values.mean,
        minimum=_finite(values.minimum), maximum=_finite(values.maximum),
    )  # fmt: skip


def _shares(profile: ColumnProfile, names: list[str], counts: Array, both: Array) -> Distribution:
    """The most frequent labels of both samples, and the rest as one."""
    order = sorted(range(len(names)), key=lambda place: -both[place])
    shown = sorted(order[:LABELS_SHOWN])
    total = max(counts.sum(), 1.0)
    labels, shares = [names[i] for i in shown], [float(counts[i] / total) for i in shown]
    if rest := order[LABELS_SHOWN:]:
        labels.append(f"{len(rest)} more")
        shares.append(float(sum(counts[i] for i in rest) / total))
    return Distribution(
        rows=profile.rows, nulls=profile.nulls, labels=tuple(labels), shares=tuple(shares)
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
