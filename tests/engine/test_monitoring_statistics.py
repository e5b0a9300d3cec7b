"""The metrics of a monitor are those of SciPy and scikit-learn; and chance raises no alarm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from mlops.contract import Column, Contract
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.attribution import attribution_drift, gain_of
from mlops.monitoring.collected import Piece
from mlops.monitoring.columns import TableProfile, to_numbers
from mlops.monitoring.definition import Signal, is_beyond
from mlops.monitoring.distances import (
    categorical_distance,
    kolmogorov_smirnov,
    numerical_distance,
    shared_edges,
)
from mlops.monitoring.distributions import MOST_CATEGORIES, OTHER, POINTS, Categories, Numbers
from mlops.monitoring.drift import drifted
from mlops.monitoring.performance import Labels, Tally, performance, scores
from mlops.monitoring.quality import quality
from mlops.monitoring.results import FeatureResult
from mlops.monitoring.significance import holm, of_categories, of_rate
from mlops.monitoring.windows import Span
from mlops.workspaces import Location
from mlops.workspaces.local.data import LocalDataStore

from .builders import contract
from .monitored import AT, HOUR

JS, PSI = "jensen_shannon_distance", "population_stability_index"
WASSERSTEIN, KS = "normalized_wasserstein_distance", "two_sample_kolmogorov_smirnov_test"
CHI2 = "pearsons_chi_squared_test"
NUMERICAL = (JS, PSI, WASSERSTEIN, KS)
SPAN = Span(AT - HOUR, AT)
SETTINGS = MonitoringSettings()
Rng = np.random.Generator

some_numbers = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3).map(float)), min_size=2, max_size=200
)


def summary(values: Sequence[float] | Any, pieces: int = 1, points: int = POINTS) -> Numbers:
    numbers = Numbers(points)
    for piece in np.array_split(np.asarray(values, float), pieces):
        numbers.add(piece)
    return numbers


def counted(**counts: int) -> Categories:
    categories = Categories()
    categories.add(counts)
    return categories


# --- the metrics ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ks_2samp")  # SciPy says when it cannot be exact
@given(some_numbers, some_numbers)
def test_distances_of_numbers_are_those_of_scipy(before: list[float], now: list[float]) -> None:
    reference, production = summary(before), summary(now, pieces=3)
    edges = shared_edges(reference, production)
    counts = [np.histogram(values, edges)[0] for values in (before, now)]
    assert len(edges) - 1 in (1, math.ceil(math.log2(min(len(before), len(now))) + 1))
    assert reference.counts(edges).tolist() == counts[0].tolist()
    assert numerical_distance(JS, reference, production) == pytest.approx(
        np.nan_to_num(jensenshannon(*counts, base=2)), abs=1e-6
    )
    deviation = max(np.std(before, ddof=1), 0.001)
    assert numerical_distance(WASSERSTEIN, reference, production) == pytest.approx(
        stats.wasserstein_distance(before, now) / deviation, rel=1e-6, abs=1e-9
    )
    assert numerical_distance(KS, reference, production) == pytest.approx(
        stats.ks_2samp(before, now).pvalue, rel=1e-9
    )


def test_the_test_of_many_numbers_is_that_of_scipy() -> None:
    draw = np.random.default_rng(0)
    for rows, shift in ((3000, 0.0), (3000, 0.08), (300_000, 0.0), (300_000, 0.005)):
        before, now = draw.normal(size=rows), draw.normal(shift, 1, rows)
        reference, production = summary(before, 20), summary(now[:-900], 7)
        production.add(now[-900:])  # a small piece at the end, as the last of a window may be
        found = kolmogorov_smirnov(reference, production)
        assert found == pytest.approx(stats.ks_2samp(before, now, method="asymp").pvalue, abs=0.08)


def test_the_population_stability_index_is_what_one_computes_by_hand() -> None:
    assert categorical_distance(PSI, counted(a=3, b=1), counted(a=1, b=3)) == pytest.approx(
        math.log(2)  # (2/4 - 4/4) ln(1/2) + (4/4 - 2/4) ln 2: one more of each
    )
    # 10, 20 and 70 % become 20, 20 and 60 %: 0.1 ln 2 - 0.1 ln(6/7).
    before, now = counted(a=10**6, b=2 * 10**6, c=7 * 10**6), counted(a=200, b=200, c=600)
    assert categorical_distance(PSI, before, before) == 0
    now = counted(**{name: 10**4 * count for name, count in now.counts.items()})
    assert categorical_distance(PSI, before, now) == pytest.approx(0.0847298, abs=1e-5)
    numbers = summary([1.0] * 10 + [2.0] * 20), summary([1.0] * 20 + [2.0] * 10)
    middle = len(shared_edges(*numbers)) - 3  # bins without a value have one more, too: nothing
    assert middle == 4
    by_hand = (21 / 30 - 11 / 30) * math.log(21 / 11) * 2
    assert numerical_distance(PSI, *numbers) == pytest.approx(by_hand)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=2, max_size=12))
@example([(500, 0), (1, 1)])
def test_distances_of_categories_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    if not sum(now for _, now in pairs):
        pairs[0] = (1, 1)
    before, now = np.array(pairs).T
    names = [f"v{place:02}" for place in range(len(pairs))]
    reference, production = Categories(), Categories()
    reference.add(dict(zip(names, before.tolist())))
    production.add({name: count for name, count in zip(names, now.tolist()) if count})
    assert categorical_distance(JS, reference, production) == pytest.approx(
        np.nan_to_num(jensenshannon(before, now, base=2)), abs=1e-6
    )
    expected = before / before.sum() * now.sum()
    assert categorical_distance(CHI2, reference, production) == pytest.approx(
        stats.chisquare(now, expected).pvalue, abs=1e-9
    )


def test_a_category_that_the_reference_never_had_is_infinitely_unlikely() -> None:
    assert categorical_distance(CHI2, counted(a=5), counted(a=5, b=1)) == 0
    assert categorical_distance(CHI2, counted(a=5), counted(a=9)) == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_gain_is_that_of_scikit_learn_with_ties(pairs: list[tuple[int, int]]) -> None:
    relevance, given_scores = np.array(pairs, float).T
    wanted = sk.ndcg_score([relevance], [given_scores]) if relevance.any() else 1.0
    assert gain_of(relevance, given_scores) == pytest.approx(wanted)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T
    confusion = np.zeros((4, 4))  # of which some classes may never be there
    np.add.at(confusion, (truth, answers), 1)
    found = {name: float(value[0]) for name, value in scores(confusion[None]).items()}
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, answers))
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    assert found["precision"] == pytest.approx(sk.precision_score(truth, answers, **macro))
    assert found["recall"] == pytest.approx(sk.recall_score(truth, answers, **macro))
    assert found["f1_score"] == pytest.approx(sk.f1_score(truth, answers, **macro))


def labelled(folder: Path, rules: Contract, table: pd.DataFrame) -> Labels:
    """These labels, as they come."""
    (folder / "production" / "labels").mkdir(parents=True)
    table.to_parquet(folder / "production" / "labels" / "part.parquet")
    location = Location("production", "labels", "uri_folder")
    return Labels(rules).read(LocalDataStore(folder), location)


def answered(ids: Any, predictions: Any) -> Piece:
    times = np.full(len(ids), np.datetime64("2026-03-31", "us"))
    return Piece(times, {"id": pa.array(ids), "prediction": pa.array(predictions)})


def rules_of(target: dict[str, Any]) -> Contract:
    columns = {"id": {"type": "integer"}, "x": {"type": "number"}, "y": target}
    kind = "classification" if "values" in target else "regression"
    return contract(columns, target="y", id="id", problem_type=kind)


def test_errors_of_numbers_are_those_of_scikit_learn(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rules, truth, answers = rules_of({"type": "number"}), draw.normal(size=90), draw.normal(size=90)
    table = pd.DataFrame({"id": np.arange(90), "y": truth}).sample(frac=1, random_state=0)
    tally, labels = Tally(rules), labelled(tmp_path, rules, table)
    for part in np.array_split(np.arange(90), 4):
        tally.add(answered(part, answers[part]), labels)
    assert tally.metrics() == {
        "mae": pytest.approx(sk.mean_absolute_error(truth, answers)),
        "mse": pytest.approx(sk.mean_squared_error(truth, answers)),
        "rmse": pytest.approx(sk.root_mean_squared_error(truth, answers)),
    }


def test_ids_that_a_float_cannot_tell_apart_have_each_its_label(tmp_path: Path) -> None:
    rules = rules_of({"type": "category", "values": ["no", "yes"]})
    ids = [2**53, 2**53 + 1, 2**62, 2**62 + 1]
    table = pd.DataFrame({"id": ids, "y": ["no", "yes", "yes", "no"]})
    tally = Tally(rules)
    tally.add(answered(ids[::-1], ["no", "yes", "yes", "no"]), labelled(tmp_path, rules, table))
    assert (tally.labelled, tally.metrics()["accuracy"]) == (4, 1.0)


# --- summaries --------------------------------------------------------------------------------


@given(some_numbers, st.integers(1, 5))
def test_numbers_in_pieces_are_as_all_at_once(values: list[float], pieces: int) -> None:
    whole, parts = summary(values), summary(values, pieces)
    assert parts.values.tolist() == whole.values.tolist() == sorted(set(values))
    assert parts.weights.tolist() == whole.weights.tolist()
    for numbers in (whole, parts):
        assert (numbers.count, numbers.minimum, numbers.maximum) == (
            len(values), min(values), max(values),
        )  # fmt: skip
        assert numbers.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
        assert numbers.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)


@given(some_numbers, some_numbers, some_numbers)
def test_summaries_are_put_together_in_any_order(
    first: list[float], second: list[float], third: list[float]
) -> None:
    def together(*order: list[float]) -> Numbers:
        numbers = Numbers()
        for values in order:
            numbers.merge(summary(values))
        return numbers

    left, right = together(first, second, third), together(third, first, second)
    assert left.values.tolist() == right.values.tolist()
    assert left.weights.tolist() == right.weights.tolist()
    assert left.deviation == pytest.approx(right.deviation, rel=1e-9, abs=1e-9)
    assert (left.minimum, left.maximum) == (right.minimum, right.maximum)


STREAMS: dict[str, Callable[[Rng], Any]] = {
    "normal": lambda draw: draw.normal(size=30_000),
    "in ascending order": lambda draw: np.sort(draw.normal(size=30_000)),
    "in descending order": lambda draw: np.sort(draw.normal(size=30_000))[::-1],
    "moving": lambda draw: draw.normal(size=30_000) + np.linspace(0, 5, 30_000),
    "heavy tails": lambda draw: draw.standard_cauchy(30_000),
    "half zeros": lambda draw: np.where(draw.random(30_000) < 0.5, 0, draw.normal(size=30_000)),
    "one value in between": lambda draw: np.append(draw.normal(size=15_000), [0.5] * 15_000),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("merged", [False, True])
def test_a_summary_of_many_numbers_is_small_and_nearly_right(stream: str, merged: bool) -> None:
    values, points = STREAMS[stream](np.random.default_rng(0)), 100
    numbers = summary(values, 30, points)
    if merged:
        halves = [summary(half, 30, points) for half in np.array_split(values, 2)]
        numbers = halves[0]
        numbers.merge(halves[1])
    assert len(numbers.values) == len(numbers.weights) <= 2 * points
    # A point that is no single value stands for at most pi/points.
    several = ~np.isin(numbers.values, values)
    assert numbers.weights[several].max() <= len(values) * math.pi / points
    places = np.concatenate([numbers.values, np.quantile(values, np.linspace(0, 1, 500))])
    ordered = np.sort(values)
    truth = np.searchsorted(ordered, places, "right") / len(values)
    assert np.abs(numbers.below(places) - truth).max() <= math.pi / 2 / points
    edges = np.linspace(ordered[300], ordered[-300], 9)
    assert numbers.counts(edges) == pytest.approx(
        np.histogram(values, edges)[0], abs=len(values) * math.pi / points
    )
    assert (numbers.count, numbers.minimum, numbers.maximum) == (30_000, ordered[0], ordered[-1])
    assert numbers.mean == pytest.approx(values.mean())
    assert numbers.deviation == pytest.approx(values.std(ddof=1))
    assert numbers.outside(ordered[0], ordered[-1]) == 0


def test_of_very_many_categories_the_rare_ones_become_one() -> None:
    categories = counted(often=10**6)
    for first in range(0, 100_000, 1000):
        categories.add({f"id {number}": 1 for number in range(first, first + 1000)})
        assert len(categories.counts) <= 2 * MOST_CATEGORIES
    assert categories.count == sum(categories.counts.values()) == 1_100_000
    assert categories.counts["often"] == 10**6
    assert categories.counts[OTHER] >= 80_000
    assert counted(new=3).unknown_to(categories) == {}


# --- what is peculiar -------------------------------------------------------------------------


def test_constants_are_compared() -> None:
    one, other = summary([7.0] * 60), summary([7.1] * 60)
    values = {name: numerical_distance(name, one, one) for name in NUMERICAL}
    assert values == {JS: 0, PSI: 0, WASSERSTEIN: 0, KS: 1}
    assert numerical_distance(JS, one, other) == pytest.approx(1)
    assert numerical_distance(WASSERSTEIN, one, other) == pytest.approx(0.1 / 0.001)
    assert numerical_distance(KS, one, other) < 1e-30


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e9, 1e149])
@pytest.mark.parametrize("metric", NUMERICAL)
def test_a_scale_does_not_change_a_distance(metric: str, scale: float) -> None:
    draw = np.random.default_rng(0)
    before, now = draw.normal(size=5000), draw.normal(0.1, 1, 5000)
    found = numerical_distance(metric, summary(before * scale), summary(now * scale))
    if metric == WASSERSTEIN and scale < 1:  # Azure ML counts a deviation as 0.001 at least
        assert 0 <= found < 1e-3
    else:
        assert found == pytest.approx(numerical_distance(metric, summary(before), summary(now)))


def test_numbers_too_great_to_square_are_no_numbers() -> None:
    column = pa.array([1.0, -1e150, 1e151, math.inf, -math.inf, math.nan, None])
    numbers, nulls, errors = to_numbers(column)
    assert (numbers.tolist(), nulls, errors) == ([1.0, -1e150], 2, 3)


# --- chance -----------------------------------------------------------------------------------


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
    rules = rules_of({"type": "category", "values": ["no", "yes"]})
    labels = labelled(tmp_path, rules, pd.DataFrame({"id": [0], "y": ["no"]}))
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
