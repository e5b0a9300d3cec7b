"""Drift: how far the values of each column are from those of the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlops.contract import Column
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.columns import ColumnProfile, TableProfile
from mlops.monitoring.definition import AT_LEAST, Signal, is_beyond
from mlops.monitoring.distances import categorical_distance, numerical_distance, shared_edges
from mlops.monitoring.distributions import MOST_CATEGORIES, Numbers
from mlops.monitoring.results import Distribution, FeatureResult, MetricResult, Point, state_of
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
    if production.kind == "categorical":
        names, before, now = reference.categories.aligned(production.categories)
        return Charts(
            _shares(reference, names, before, before + now),
            _shares(production, names, now, before + now),
        )
    there, here = reference.numbers, production.numbers
    if not there.count or not here.count:
        return Charts(_bins(reference, _edges_of(there)), _bins(production, _edges_of(here)))
    edges = shared_edges(there, here)
    return Charts(_bins(reference, edges), _bins(production, edges))


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
    if not profile.count:
        what = "its values have another type" if profile.errors else "no row has a value"
        return f"{what}; see data_quality"
    if profile.count < settings.minimum_rows:
        return f"{profile.count} values in this window, {settings.minimum_rows} are needed"
    if reference is None or not reference.count:
        return "the reference has no value"
    if reference.categories.is_cut or profile.categories.is_cut:
        return (
            f"it has more than {MOST_CATEGORIES} different values, as an id has; it is not compared"
        )
    if reference.count < settings.minimum_rows:
        return f"{reference.count} values in the reference, {settings.minimum_rows} are needed"
    return ""


def _chance(reference: ColumnProfile, production: ColumnProfile) -> float:
    if production.kind == "numerical":
        return of_numbers(reference.numbers, production.numbers)
    return of_categories(reference.categories, production.categories)


def distance_of(metric: str, reference: ColumnProfile, production: ColumnProfile) -> float:
    """A metric of drift between two profiles of a column, with a value each."""
    if production.kind == "numerical":
        return numerical_distance(metric, reference.numbers, production.numbers)
    return categorical_distance(metric, reference.categories, production.categories)


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
        enough = then.count >= settings.minimum_rows
        values = {
            metric: distance_of(metric, before, then) if enough else None for metric in thresholds
        }
        points.append(Point(start=span.start, end=span.end, rows=profile.rows, values=values))
    metrics = []
    for metric, threshold in thresholds.items():
        value = distance_of(metric, before, now)
        metrics.append(
            MetricResult(
                name=metric, value=value, threshold=threshold, p_value=chance,
                comparison="at least" if metric in AT_LEAST else "at most",
                breached=is_beyond(metric, value, threshold) and chance < settings.significance,
            )
        )  # fmt: skip
    return FeatureResult(
        name=name, kind=before.kind, unit=column.unit, metrics=tuple(metrics),
        state=state_of(breached=any(m.breached for m in metrics), known=bool(metrics)),
        unseen=unseen_in(before, now), note=_peculiar(before, now), history=tuple(points),
        **charts(before, now)._asdict(),
    )  # fmt: skip


def _peculiar(reference: ColumnProfile, production: ColumnProfile) -> str:
    """What a person should know of a column, besides its metrics."""
    if production.kind == "categorical":
        return new_categories(reference, production)
    there, here = reference.numbers, production.numbers
    if here.minimum == here.maximum:
        also = ", as in the reference" if there.minimum == there.maximum else ""
        return f"every value is {here.minimum:g}{also}"
    if there.minimum == there.maximum:
        return f"in the reference, every value is {there.minimum:g}"
    return ""


def new_categories(reference: ColumnProfile, production: ColumnProfile) -> str:
    """How many categories the reference does not have, for a note; empty where there is none."""
    new = production.categories.unknown_to(reference.categories)
    if not new:
        return ""
    return f"{len(new)} categories are new" if len(new) > 1 else "a category is new"


def unseen_in(reference: ColumnProfile, production: ColumnProfile) -> tuple[str, ...]:
    """The most frequent categories that the reference does not have."""
    new = production.categories.unknown_to(reference.categories)
    return tuple(sorted(new, key=lambda value: -new[value])[:NAMES_SHOWN])


def _edges_of(values: Numbers) -> Array | None:
    return shared_edges(values, values) if values.count else None


def _bins(profile: ColumnProfile, edges: Array | None) -> Distribution:
    values = profile.numbers
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
