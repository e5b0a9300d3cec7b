"""Chance raises no alarm, whatever the size of a window; and a change raises one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlops.contract import Column
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.attribution import attribution_drift
from mlops.monitoring.columns import TableProfile
from mlops.monitoring.definition import Signal, is_beyond
from mlops.monitoring.distributions import Categories
from mlops.monitoring.drift import drifted
from mlops.monitoring.performance import Labels, Tally, performance
from mlops.monitoring.quality import quality
from mlops.monitoring.results import FeatureResult
from mlops.monitoring.significance import holm, of_categories, of_rate
from mlops.monitoring.windows import Span
from mlops.workspaces import Location
from mlops.workspaces.local.data import LocalDataStore

from .builders import contract
from .monitored import AT, HOUR

JS, WASSERSTEIN = "jensen_shannon_distance", "normalized_wasserstein_distance"
SPAN = Span(AT - HOUR, AT)
SETTINGS = MonitoringSettings()
Rng = np.random.Generator


def counted(**counts: int) -> Categories:
    categories = Categories()
    categories.add(counts)
    return categories


def test_corrected_chances_are_those_of_holm() -> None:
    # The example of the English Wikipedia, "Holm-Bonferroni method".
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.integers(1, 60), st.integers(60, 5000), st.integers(0, 40), st.integers(60, 5000))
def test_the_chance_of_a_rate_is_that_of_fishers_test(
    found: int, rows: int, before: int, of: int
) -> None:
    table = [[found, rows - found], [before, of - before]]
    exact = stats.fisher_exact(table, "greater").pvalue
    assert exact - 1e-9 <= of_rate(found, rows, 0.0, before, of) <= 1.13 * exact + 2e-9


@given(st.integers(0, 60), st.integers(60, 5000), st.floats(0, 0.3))
def test_the_chance_of_a_rate_with_a_threshold_alone_is_binomial(
    found: int, rows: int, threshold: float
) -> None:
    assert of_rate(found, rows, threshold) == pytest.approx(
        stats.binom.sf(found - 1, rows, threshold), abs=1e-12
    )


@pytest.mark.parametrize("level", [0.01, 0.001, 0.0001])
@pytest.mark.parametrize("rare", [2, 10, 20, 40])
def test_a_rare_category_is_called_changed_no_more_often_than_said(rare: int, level: float) -> None:
    """All counts that 50 rows can have of a category with such a share in 1000 others."""
    counts = np.arange(51)
    likely = stats.binom.pmf(counts, 50, rare / 1000)
    called = [
        of_categories(counted(a=1000 - rare, b=rare), counted(a=50 - int(n), b=int(n))) < level
        for n in counts
    ]
    assert likely @ called <= level


def profile(columns: dict[str, Any], described: dict[str, Column]) -> TableProfile:
    table = TableProfile(described)
    table.add({name: pa.array(values) for name, values in columns.items()}, len(columns["f0"]))
    return table.close()


def alone(features: Sequence[FeatureResult]) -> bool:
    """Whether a metric is beyond its threshold, whatever chance says."""
    return any(
        is_beyond(metric.name, metric.value, metric.threshold)
        for feature in features
        for metric in feature.metrics
        if metric.value is not None and metric.threshold is not None
    )


def breached(features: Sequence[FeatureResult]) -> list[str]:
    return [feature.name for feature in features if feature.state == "breached"]


FEATURES = {f"f{number}": Column(type="number", nullable=True) for number in range(30)}
DRIFT = Signal(type="data_drift", metric_thresholds={"numerical": {JS: 0.2, WASSERSTEIN: 0.2}})


def normal(draw: Rng, rows: int, shift: float = 0.0, nulls: float = 0.0) -> dict[str, Any]:
    """30 features, of which the first is shifted, by its standard deviation."""
    table = draw.normal(size=(rows, len(FEATURES)))
    table[draw.random(table.shape) < nulls] = np.nan
    table[:, 0] += shift
    return {f"f{number}": table[:, number] for number in range(len(FEATURES))}


def test_small_windows_of_many_features_raise_no_alarm_without_a_change() -> None:
    draw = np.random.default_rng(1)
    alarms = by_thresholds = 0
    for _ in range(40):
        reference, window = (profile(normal(draw, rows), FEATURES) for rows in (200, 60))
        found = drifted(FEATURES, reference, [(SPAN, window)], DRIFT, SETTINGS)
        alarms += bool(breached(found))
        by_thresholds += alone(found)
    assert by_thresholds == 40  # what it would be without the correction
    assert alarms <= 3  # 0.4 are expected; without Holm's correction it would be 10


def test_a_shift_of_one_standard_deviation_is_found_in_two_hundred_rows() -> None:
    draw = np.random.default_rng(2)
    for _ in range(10):
        reference = profile(normal(draw, 1000), FEATURES)
        window = profile(normal(draw, 200, shift=1.0), FEATURES)
        found = drifted(FEATURES, reference, [(SPAN, window)], DRIFT, SETTINGS)
        assert "f0" in breached(found)


QUALITY = Signal(
    type="data_quality",
    metric_thresholds={
        "numerical": {"null_value_rate": 0.01, "data_type_error_rate": 0, "out_of_bounds_rate": 0.01},
        "categorical": {"out_of_bounds_rate": 0.01},
    },
)  # fmt: skip
MIXED = {
    **dict(list(FEATURES.items())[:20]),
    **{f"c{number}": Column(type="category") for number in range(10)},
}


def mixed(draw: Rng, rows: int, nulls: float = 0.05) -> dict[str, Any]:
    """20 numbers with nulls, and 10 categories of which most values are rare."""
    weights = 1 / np.arange(1, 61) ** 1.2
    names = np.array([f"value {number}" for number in range(60)], object)
    categories = {
        f"c{number}": names[draw.choice(60, rows, p=weights / weights.sum())]
        for number in range(10)
    }
    return normal(draw, rows, nulls=nulls) | categories


def test_a_small_reference_raises_no_alarm_of_quality_without_a_change() -> None:
    draw = np.random.default_rng(3)
    alarms = by_thresholds = 0
    for _ in range(30):
        reference, window = (profile(mixed(draw, rows), MIXED) for rows in (114, 3000))
        found = quality(MIXED, reference, [(SPAN, window)], QUALITY, SETTINGS)
        alarms += bool(breached(found))
        by_thresholds += alone(found)
    assert by_thresholds == 30
    assert alarms <= 2  # 0.3 are expected


def test_more_nulls_and_other_units_and_new_values_are_found() -> None:
    draw = np.random.default_rng(4)
    reference, rows = profile(mixed(draw, 1000), MIXED), mixed(draw, 1000)
    rows["f1"][draw.random(1000) < 0.15] = np.nan
    rows["f2"] = rows["f2"] * 100
    rows["c3"] = np.where(draw.random(1000) < 0.2, "new", rows["c3"])
    found = quality(MIXED, reference, [(SPAN, profile(rows, MIXED))], QUALITY, SETTINGS)
    assert breached(found) == ["f1", "f2", "c3"]


def test_what_cannot_be_wrong_does_not_count_as_a_test() -> None:
    nulls = {"numerical": {"null_value_rate": 0.01, "data_type_error_rate": 0}}
    signal = Signal(type="data_quality", metric_thresholds=nulls)
    draw = np.random.default_rng(7)
    reference, rows = profile(normal(draw, 200), FEATURES), normal(draw, 200)
    rows["f3"][:9] = np.nan
    found = quality(FEATURES, reference, [(SPAN, profile(rows, FEATURES))], signal, SETTINGS)
    chances = {(f.name, metric.name): metric.p_value for f in found for metric in f.metrics}
    assert chances.pop(("f3", "null_value_rate")) == of_rate(9, 200, 0.01, 0, 200)
    assert set(chances.values()) == {1.0}


def attributions(draw: Rng, rows: int, scales: Any) -> Any:
    return draw.exponential(scales, (rows, len(scales)))


def test_attributions_raise_no_alarm_by_chance_and_a_new_order_is_found() -> None:
    rules = contract(
        {**FEATURES, "y": Column(type="number")}, target="y", problem_type="regression"
    )
    metric = "normalized_discounted_cumulative_gain"
    # So high that the order of features which matter alike is beyond it every second time.
    strict = Signal(type="feature_attribution_drift", metric_thresholds={metric: 0.999})
    draw, scales = np.random.default_rng(5), np.append(np.full(28, 1.0), [4.0, 8.0])
    alarms = by_thresholds = 0
    for _ in range(30):
        before, now = (attributions(draw, rows, scales) for rows in (60, 400))
        found = attribution_drift(rules, before, now, strict, SETTINGS)[:1]
        alarms += bool(breached(found))
        by_thresholds += alone(found)
    assert by_thresholds >= 15
    assert alarms <= 2
    before, now = attributions(draw, 60, scales), attributions(draw, 400, scales[::-1])
    assert breached(attribution_drift(rules, before, now, strict, SETTINGS)[:1]) == [""]


@pytest.mark.parametrize(("accuracy", "least", "most"), [(0.85, 0, 4), (0.7, 38, 40)])
def test_a_model_at_the_floor_raises_no_alarm_and_one_below_does(
    tmp_path: Path, accuracy: float, least: int, most: int
) -> None:
    rules = contract(id="id", columns={"id": {"type": "integer"}, "x": {"type": "number"}})
    labels = Labels(rules).read(LocalDataStore(tmp_path), Location("none", "none", "uri_folder"))
    floors = {"accuracy": 0.85, "precision": 0.85, "recall": 0.85}
    signal = Signal(type="model_performance", metric_thresholds={"classification": floors})
    draw, alarms, by_thresholds = np.random.default_rng(6), 0, 0
    shares = [accuracy / 2, (1 - accuracy) / 2, (1 - accuracy) / 2, accuracy / 2]
    for _ in range(40):
        tally = Tally(rules)
        tally.confusion += draw.multinomial(200, shares).reshape(2, 2)
        tally.answers = tally.labelled = 200
        found = performance(rules, [(SPAN, tally)], labels, signal, SETTINGS).feature
        alarms += bool(breached([found]))
        by_thresholds += alone([found])
    assert by_thresholds >= 10
    assert least <= alarms <= most


def test_many_classes_are_drawn_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"k{number}" for number in range(40)]
    label = {"type": "category", "values": names}
    tally = Tally(contract({"x": {"type": "number"}, "y": label}, target="y"))
    tally.confusion += np.eye(40) * 8 + 0.1
    tally.labelled = 480
    at_once = tally.chance("recall", 0.7)
    assert 0 < at_once < 1
    monkeypatch.setattr("mlops.monitoring.performance.CELLS_AT_ONCE", 50_000)
    assert tally.chance("recall", 0.7) == at_once
