"""The metrics of a monitor are those of SciPy and scikit-learn, of any number of rows in bounded memory."""

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

from mlops.contract import Contract
from mlops.monitoring.attribution import gain_of
from mlops.monitoring.collected import Piece
from mlops.monitoring.columns import to_numbers
from mlops.monitoring.distances import (
    categorical_distance,
    kolmogorov_smirnov,
    numerical_distance,
    shared_edges,
)
from mlops.monitoring.distributions import MOST_CATEGORIES, OTHER, POINTS, Categories, Numbers
from mlops.monitoring.performance import Labels, Tally, scores
from mlops.workspaces import Location
from mlops.workspaces.local.data import LocalDataStore

from .builders import contract

JS, PSI = "jensen_shannon_distance", "population_stability_index"
WASSERSTEIN, KS = "normalized_wasserstein_distance", "two_sample_kolmogorov_smirnov_test"
CHI2 = "pearsons_chi_squared_test"
NUMERICAL = (JS, PSI, WASSERSTEIN, KS)
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


@pytest.mark.parametrize("zeros", [0.0, 0.4])
@pytest.mark.parametrize(("rows", "shift"), [(3000, 0.08), (300_000, 0.0), (300_000, 0.005)])
def test_the_test_of_many_numbers_is_that_of_scipy(rows: int, shift: float, zeros: float) -> None:
    draw = np.random.default_rng(0)
    before, now = draw.normal(size=rows), draw.normal(shift, 1, rows)
    before[draw.random(rows) < zeros] = now[draw.random(rows) < zeros] = 0
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


def test_a_few_numbers_after_many_leave_the_summary_as_right_as_it_was() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    numbers = summary(values[:-80], 10, points=100)
    numbers.add(values[-80:])
    places, ordered = np.quantile(values, np.linspace(0, 1, 500)), np.sort(values)
    truth = np.searchsorted(ordered, places, "right") / len(values)
    assert np.abs(numbers.below(places) - truth).max() <= 0.1 * math.pi / 2 / 100


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
