from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlops import metrics
from mlops.contract import Contract
from mlops.metrics import METRICS, compute, evaluate, paired_difference, slices

from .builders import contract, frame, regression


def classes(count: int) -> Contract:
    names = [f"k{i}" for i in range(count)]
    return contract(
        {"x": {"type": "number"}, "y": {"type": "category", "values": names}}, target="y"
    )


def predictions_of(rules: Contract, probabilities: np.ndarray) -> pd.DataFrame:
    answers = pd.DataFrame(probabilities, columns=[f"probability_{c}" for c in rules.classes])
    answers.insert(0, "prediction", np.array(rules.classes)[probabilities.argmax(axis=1)])
    return answers


def by_sklearn(
    rules: Contract, truth: pd.Series, predictions: pd.DataFrame, weight: np.ndarray
) -> dict[str, float]:
    answers, kept = predictions["prediction"], weight > 0
    labels = sorted({*truth[kept], *answers[kept]})
    scores = predictions[[f"probability_{c}" for c in rules.classes]].to_numpy()
    common: dict[str, Any] = {"sample_weight": weight}
    macro = {**common, "average": "macro", "zero_division": 0, "labels": labels}
    ranked = rules.classes[1:] if len(rules.classes) == 2 else rules.classes
    areas = [sk.roc_auc_score(truth == c, scores[:, rules.classes.index(c)], **common)
             for c in ranked]  # fmt: skip
    return {
        "accuracy": sk.accuracy_score(truth, answers, **common),
        "precision": sk.precision_score(truth, answers, **macro),
        "recall": sk.recall_score(truth, answers, **macro),
        "f1": sk.f1_score(truth, answers, **macro),
        "roc_auc": float(np.mean(areas)),
        "log_loss": sk.log_loss(truth, scores, labels=rules.classes, **common),
    }


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 4), rows=st.integers(8, 60), seed=st.integers(0, 10**6),
    decimals=st.sampled_from([1, 6]), weighted=st.booleans(),
)  # fmt: skip
def test_classification_metrics_are_those_of_scikit_learn_with_weights_and_ties(
    count: int, rows: int, seed: int, decimals: int, weighted: bool
) -> None:
    generator, rules = np.random.default_rng(seed), classes(count)
    raw = np.round(generator.dirichlet(np.ones(count), rows), decimals) + 0.01
    predictions = predictions_of(rules, raw / raw.sum(axis=1, keepdims=True))
    codes = np.concatenate([np.arange(count), generator.integers(0, count, rows - count)])
    truth = pd.Series(np.array(rules.classes)[codes])
    weight = generator.integers(0, 4, rows).astype("float64") if weighted else np.ones(rows)
    weight[:count] = 1  # so that ROC AUC is defined
    values = metrics._weighted(rules, truth, predictions, weight[None, :])
    found = {name: float(value[0]) for name, value in values.items()}
    assert found == pytest.approx(by_sklearn(rules, truth, predictions, weight), abs=1e-12)
    if not weighted:
        assert compute(rules, truth, predictions) == pytest.approx(found)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(3, 60), seed=st.integers(0, 10**6), offset=st.sampled_from([0.0, 1e6]))
def test_regression_metrics_are_those_of_scikit_learn_with_weights(
    rows: int, seed: int, offset: float
) -> None:
    generator = np.random.default_rng(seed)
    truth = pd.Series(generator.normal(size=rows) + offset)
    answers = frame(prediction=truth + generator.normal(size=rows))
    weight = generator.integers(0, 4, rows).astype("float64")
    weight[:3] = [1, 2, 1]
    values = metrics._weighted(regression(), truth, answers, weight[None, :])
    common = {"y_true": truth, "y_pred": answers["prediction"], "sample_weight": weight}
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(
        {
            "mae": sk.mean_absolute_error(**common),
            "mse": sk.mean_squared_error(**common),
            "rmse": sk.root_mean_squared_error(**common),
            "r2": sk.r2_score(**common),
        },
        rel=1e-7,
    )


def test_several_weightings_are_computed_side_by_side() -> None:
    truth, answers = pd.Series([0.0, 1.0, 5.0]), frame(prediction=[0.5, 1.0, 3.0])
    weights = np.array([[1.0, 1, 1], [2, 0, 1]])
    both = metrics._weighted(regression(), truth, answers, weights)
    for i, row in enumerate(weights):
        alone = metrics._weighted(regression(), truth, answers, row[None, :])
        assert {k: v[i] for k, v in both.items()} == {k: v[0] for k, v in alone.items()}


def test_the_table_of_metrics_names_what_is_computed() -> None:
    truth = pd.Series(["k0", "k1"])
    computed = compute(classes(2), truth, predictions_of(classes(2), np.eye(2)))
    assert list(computed) == list(METRICS["classification"])
    computed = compute(regression(), pd.Series([0.0, 1.0]), frame(prediction=[0.0, 1.0]))
    assert list(computed) == list(METRICS["regression"])
    assert computed == {"mae": 0, "mse": 0, "rmse": 0, "r2": 1}


def test_metrics_that_the_rows_do_not_define_are_nan_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_class = compute(
            classes(2), pd.Series(["k0", "k0"]), predictions_of(classes(2), np.eye(2))
        )
        constant = compute(regression(), pd.Series([1.0, 1.0]), frame(prediction=[1.0, 2.0]))
    assert np.isnan(one_class["roc_auc"])
    assert one_class["accuracy"] == 0.5
    assert not np.isfinite(constant["r2"])


def test_a_class_that_the_model_never_saw_has_probability_zero() -> None:
    rules = classes(3)
    predictions = predictions_of(rules, np.eye(3)).drop(columns="probability_k2")
    values = compute(rules, pd.Series(rules.classes), predictions)
    assert values["accuracy"] == 1
    assert np.isfinite(values["log_loss"])
    assert values["log_loss"] > 1


def test_classes_that_are_numbers_match_their_text() -> None:
    columns = {"x": {"type": "number"}, "y": {"type": "integer", "values": [0, 1]}}
    rules = contract(columns, target="y")
    answers = frame(prediction=["0", "1"], probability_0=[0.9, 0.2], probability_1=[0.1, 0.8])
    assert compute(rules, pd.Series([0, 1]), answers)["accuracy"] == 1


SLICED = regression(
    {
        "age": {"type": "number", "nullable": True},
        "sex": {"type": "category", "values": ["f", "m", "x"]},
    },
    slices=[{"column": "age", "edges": [40, 60]}, {"column": "sex"}],
)


def test_slices_are_intervals_values_and_nulls_that_have_rows() -> None:
    table = frame(age=[39.9, 40, 59, np.nan, 20], sex=["m", "f", "m", "m", "m"], amount=0.0)
    rows = {name: mask[mask].index.tolist() for name, mask in slices(SLICED, table)}
    assert rows == {
        "age < 40": [0, 4], "age [40, 60)": [1, 2], "age is null": [3],
        "sex = f": [1], "sex = m": [0, 2, 3, 4],
    }  # fmt: skip
    ends = dict(slices(SLICED, frame(age=[60.0], sex=["f"], amount=[0.0])))
    assert list(ends) == ["age >= 60", "sex = f"]


def test_an_evaluation_has_values_intervals_and_each_slice_on_its_own_rows() -> None:
    generator = np.random.default_rng(1)
    table = frame(age=generator.uniform(20, 80, 200), sex=generator.choice(["f", "m"], 200))
    table["amount"] = generator.normal(size=200)
    answers = frame(prediction=table["amount"] + generator.normal(size=200))
    # The held-out rows keep the index that they had in the whole table.
    result = evaluate(SLICED, table.set_axis(range(500, 700), axis=0), answers)
    assert result["rows"] == 200
    for name, value in result["metrics"].items():
        low, high = result["intervals"][name]
        assert low < value < high
    women = (table["sex"] == "f").to_numpy()
    expected = compute(SLICED, table["amount"][women], answers[women])
    assert result["slices"]["sex = f"] == {"rows": int(women.sum()), "metrics": expected}


def test_an_evaluation_repeated_is_the_same() -> None:
    table = frame(age=1.0, sex="f", amount=np.arange(30.0))
    answers = frame(prediction=np.arange(30.0) + 1)
    assert evaluate(SLICED, table, answers) == evaluate(SLICED, table, answers)


def test_resamples_in_parts_are_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, answers = pd.Series(np.arange(50.0)), frame(prediction=np.arange(50.0) % 7)
    (whole,) = metrics._resample(regression(), truth, [answers])
    monkeypatch.setattr(metrics, "WEIGHTS_AT_ONCE", 50 * 300)
    (parts,) = metrics._resample(regression(), truth, [answers])
    for name in whole:
        assert len(whole[name]) == metrics.RESAMPLES
        np.testing.assert_allclose(parts[name], whole[name])


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_a_difference_is_positive_where_the_challenger_is_better(name: str) -> None:
    generator = np.random.default_rng(0)
    truth = pd.Series(generator.normal(size=150))
    good = frame(prediction=truth + generator.normal(size=150) * 0.1)
    bad = frame(prediction=truth + generator.normal(size=150))
    rules, metric = regression(), METRICS["regression"][name]
    difference, bound = paired_difference(rules, metric, truth, good, bad, 0.95)
    assert 0 < bound < difference
    worse, worse_bound = paired_difference(rules, metric, truth, bad, good, 0.95)
    assert worse == pytest.approx(-difference)
    assert worse_bound < worse
    assert paired_difference(rules, metric, truth, good, bad, 0.99)[1] < bound


@pytest.mark.parametrize("name", list(METRICS["classification"]))
def test_identical_models_differ_by_nothing(name: str) -> None:
    generator, rules = np.random.default_rng(0), classes(3)
    predictions = predictions_of(rules, generator.dirichlet(np.ones(3), 60))
    truth = pd.Series(generator.choice(rules.classes, 60))
    metric = METRICS["classification"][name]
    assert paired_difference(rules, metric, truth, predictions, predictions, 0.95) == (0.0, 0.0)


def test_the_interval_of_accuracy_covers_the_truth_about_as_often_as_it_says() -> None:
    generator, rules, rate = np.random.default_rng(7), classes(2), 0.8
    covered = 0
    for _ in range(200):
        right = generator.random(150) < rate
        truth = generator.integers(0, 2, 150)
        predictions = predictions_of(rules, np.eye(2)[np.where(right, truth, 1 - truth)])
        table = frame(x=0.0, y=np.array(rules.classes)[truth])
        low, high = evaluate(rules, table, predictions)["intervals"]["accuracy"]
        covered += low <= rate <= high
    assert 0.88 <= covered / 200 <= 0.99
