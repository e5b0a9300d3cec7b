"""Data quality: the shares of nulls, of values of a wrong type, and of values out of bounds.

Source: Azure ML, "Model monitoring": a value is out of bounds where it lies beyond the range of the
reference, or is a category that the reference does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mlops.contract import Column
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.columns import ColumnProfile, TableProfile
from mlops.monitoring.definition import Signal
from mlops.monitoring.drift import History, charts, new_categories, unseen_in
from mlops.monitoring.results import FeatureResult, MetricResult, Point, state_of
from mlops.monitoring.significance import holm, of_rate

NULLS, ERRORS, OUTSIDE = "null_value_rate", "data_type_error_rate", "out_of_bounds_rate"


class Rule(NamedTuple):
    """A rate of a column, and its threshold."""

    column: str
    metric: str
    threshold: float


def quality(
    columns: Mapping[str, Column],
    reference: TableProfile,
    history: History,
    signal: Signal,
    settings: MonitoringSettings,
) -> tuple[FeatureResult, ...]:
    """A result per column, in their order; the arguments are those of `drift.drifted`.

    A rate is breached where it is above the threshold, and chance would not make it so where the
    threshold is the true rate. What the reference has, or hides because it is small, is normal, too:
    nulls where the contract allows them, values beyond its range, categories that it lacks.
    """
    window = history[-1][1]
    rules = [
        Rule(name, metric, threshold)
        for name, column in columns.items()
        if name in reference.columns and column.collect
        for metric, threshold in signal.thresholds(reference.columns[name].kind).items()
    ]
    chances: dict[Rule, float] = {}
    if window.rows >= settings.minimum_rows:
        # What there is neither here nor there could not raise an alarm, and does not count as a test.
        # Source: Tarone, "A modified Bonferroni method for discrete data", Biometrics 46, 1990.
        tests = [rule for rule in rules if _is_test(rule, reference, window)]
        found = [_chance(rule, columns[rule.column], reference, window) for rule in tests]
        chances = dict.fromkeys(rules, 1.0) | dict(zip(tests, holm(found)))
    return tuple(
        _result(
            name, column, [rule for rule in rules if rule.column == name], chances, reference,
            history, settings,
        )
        for name, column in columns.items()
    )  # fmt: skip


def _is_test(rule: Rule, reference: TableProfile, window: TableProfile) -> bool:
    before, now = reference.columns[rule.column], window.columns[rule.column]
    return rule.metric == OUTSIDE or bool(
        _found(rule.metric, before, before) or _found(rule.metric, before, now)
    )


def _chance(rule: Rule, column: Column, reference: TableProfile, window: TableProfile) -> float:
    before, now = reference.columns[rule.column], window.columns[rule.column]
    found = _found(rule.metric, before, now)
    return of_rate(found, now.rows, rule.threshold, *_normal(rule.metric, column, before))


def _result(
    name: str,
    column: Column,
    rules: list[Rule],
    chances: dict[Rule, float],
    reference: TableProfile,
    history: History,
    settings: MonitoringSettings,
) -> FeatureResult:
    if not rules:
        note = "its values are not collected" if not column.collect else "it is not watched"
        return FeatureResult(name=name, unit=column.unit, state="unknown", note=note)
    window = history[-1][1]
    before, now = reference.columns[name], window.columns[name]
    metrics = [_metric(rule, before, now, chances.get(rule), settings) for rule in rules]
    breached = any(metric.breached for metric in metrics)
    points = tuple(
        Point(
            start=span.start, end=span.end, rows=profile.rows,
            values={rule.metric: rate(rule.metric, before, profile.columns[name]) for rule in rules},
        )
        for span, profile in history
    )  # fmt: skip
    return FeatureResult(
        name=name, kind=before.kind, unit=column.unit, metrics=tuple(metrics), history=points,
        state=state_of(breached=breached, known=bool(chances)),
        note=_note(before, now, window.rows, settings), unseen=unseen_in(before, now),
        **charts(before, now)._asdict(),
    )  # fmt: skip


def rate(metric: str, reference: ColumnProfile, production: ColumnProfile) -> float | None:
    """A rate of a column, between 0 and 1; None where there is no row."""
    if not production.rows:
        return None
    return _found(metric, reference, production) / production.rows


def _found(metric: str, reference: ColumnProfile, production: ColumnProfile) -> int:
    if metric == NULLS:
        return production.nulls
    if metric == ERRORS:
        return production.errors
    return outside(reference, production)


def outside(reference: ColumnProfile, production: ColumnProfile) -> int:
    """How many values are beyond the range, or none of the categories, of the reference."""
    if not reference.count:
        return 0
    if production.kind == "numerical":
        return production.numbers.outside(reference.numbers.minimum, reference.numbers.maximum)
    return sum(production.categories.unknown_to(reference.categories).values())


def _normal(metric: str, column: Column, reference: ColumnProfile) -> tuple[int, int]:
    """How many rows of the reference stand for what is normal of a rate, and of how many.

    Of values beyond the range of a sample there are as many as if it had one of them. Of categories
    that it lacks, on average as many as of those that it has once; by chance more, but hardly more
    than of those that it has once or twice. Sources: Wilks, Annals of Mathematical Statistics 12,
    1941; Good, Biometrika 40, 1953, for the average and its variance.
    """
    if metric == NULLS and column.nullable:
        return reference.nulls, reference.rows
    if metric != OUTSIDE or not reference.count:
        return 0, 0
    if reference.kind == "numerical":
        return 1, reference.count
    counts = reference.categories.counts.values()
    return sum(1 for count in counts if count <= 2), reference.count


def _metric(
    rule: Rule,
    reference: ColumnProfile,
    production: ColumnProfile,
    chance: float | None,
    settings: MonitoringSettings,
) -> MetricResult:
    value = rate(rule.metric, reference, production)
    beyond = value is not None and value > rule.threshold
    return MetricResult(
        name=rule.metric, value=value, threshold=rule.threshold, p_value=chance,
        reference=rate(rule.metric, reference, reference),
        breached=beyond and chance is not None and chance < settings.significance,
    )  # fmt: skip


def _note(
    reference: ColumnProfile, production: ColumnProfile, rows: int, settings: MonitoringSettings
) -> str:
    if not rows:
        return "nothing was collected in this window"
    if rows < settings.minimum_rows:
        return f"{rows} rows in this window, {settings.minimum_rows} are needed"
    if production.nulls == production.rows:
        return "no row has a value: the column is missing, or always null"
    if production.errors and not production.count:
        return "every value has another type than data/contract.yml says"
    return new_categories(reference, production)
