from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.gate import absolute_checks, champion_check, check_settings, no_champion_check
from mlops.project import find_project
from mlops.settings import GateSettings

from .builders import contract, edit, frame, regression


def gate(**settings: Any) -> GateSettings:
    base = {"floors": {"rmse": 10}, "champion": {"metric": "rmse", "margin": 0.5}}
    return GateSettings.model_validate({**base, **settings})


def evaluation(metrics: dict[str, Any], **slices: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        "metrics": metrics,
        "intervals": {name: [value, value] for name, value in metrics.items()},
        "slices": {name: {"rows": rows, "metrics": values} for name, (rows, values) in slices.items()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "floor", "passed"),
    [
        ("rmse", 9.9, 10, True), ("rmse", 10, 10, True), ("rmse", 10.1, 10, False),
        ("r2", 0.6, 0.5, True), ("r2", 0.5, 0.5, True), ("r2", 0.4, 0.5, False),
        ("rmse", None, 10, False), ("r2", float("nan"), 0.5, False),
    ],
)  # fmt: skip
def test_a_floor_is_the_least_score_or_the_greatest_error(
    name: str, value: float | None, floor: float, passed: bool
) -> None:
    rules = gate(floors={name: floor})
    (check,) = absolute_checks(rules, regression(), evaluation({name: value}))
    assert check.passed is passed
    assert (check.rule, check.limit) == (name, floor)


def test_every_floor_has_a_check_of_its_own() -> None:
    rules = gate(floors={"rmse": 1, "r2": 0.9, "mae": 5})
    checks = absolute_checks(rules, regression(), evaluation({"rmse": 2, "r2": 0.5, "mae": 4}))
    assert [check.passed for check in checks] == [False, False, True]


def test_slices_below_the_minimum_of_rows_are_ignored() -> None:
    rules = gate(slices={"floors": {"rmse": 1}, "minimum_rows": 30})
    parts = {"small": (29, {"rmse": 5}), "enough": (30, {"rmse": 5}), "good": (30, {"rmse": 0.5})}
    checks = absolute_checks(rules, regression(), evaluation({"rmse": 1}, **parts))[1:]
    assert [(check.rule, check.passed) for check in checks] == [
        ("rmse where enough", False), ("rmse where good", True),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_metric_that_a_slice_does_not_define_says_nothing_against_a_model(value: Any) -> None:
    rules = gate(slices={"floors": {"r2": 0.9}})
    (_, check) = absolute_checks(
        rules, regression(), evaluation({"rmse": 1}, part=(50, {"r2": value}))
    )
    assert check.passed
    assert "not defined here" in check.detail


def models(noise: float) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(0)
    truth = pd.Series(generator.normal(size=300) * 10)
    champion = frame(prediction=truth + generator.normal(size=300))
    challenger = frame(prediction=truth + generator.normal(size=300) * noise)
    return truth, challenger, champion


@pytest.mark.parametrize(("noise", "passed"), [(0.5, True), (1.2, True), (2.5, False)])
def test_a_challenger_may_fall_behind_by_the_margin_only(noise: float, passed: bool) -> None:
    truth, challenger, champion = models(noise)
    check = champion_check(gate(), regression(), truth, challenger, champion, "the champion")
    assert check.passed is passed
    assert check.limit == -0.5
    assert "300 held-out rows" in check.detail


def test_an_equal_challenger_is_accepted_without_any_margin() -> None:
    truth, _, champion = models(1)
    rules = gate(champion={"metric": "rmse", "margin": 0})
    check = champion_check(rules, regression(), truth, champion, champion, "the champion")
    assert check.passed
    assert check.value == 0


def test_a_challenger_whose_difference_is_unsure_is_refused() -> None:
    truth, challenger, champion = models(1.0)
    strict = gate(champion={"metric": "rmse", "margin": 0, "confidence": 0.999})
    check = champion_check(strict, regression(), truth, challenger, champion, "the champion")
    assert not check.passed


def test_a_bound_that_is_not_defined_is_refused() -> None:
    columns = {"x": {"type": "number"}, "y": {"type": "category", "values": ["a", "b"]}}
    answers = frame(prediction=["a", "a"], probability_a=[0.9, 0.8], probability_b=[0.1, 0.2])
    rules = gate(floors={"f1": 0.5}, champion={"metric": "roc_auc", "margin": 0.5})
    check = champion_check(
        rules, contract(columns, target="y"), pd.Series(["a", "a"]), answers, answers, "it"
    )
    assert not check.passed


def test_without_a_champion_there_is_nothing_to_fall_behind() -> None:
    assert no_champion_check(gate()).passed


def test_settings_that_name_no_metric_are_found_with_their_lines(project: Path) -> None:
    file = project / "environments" / "dev.yml"
    floors = edit(file, "f1: 0.88", "f1_: 0.88")
    champion = edit(file, "{metric: roc_auc", "{metric: roc_acu")
    part = edit(file, "floors: {accuracy: 0.8}", "floors: {rmse: 0.8}")
    found = check_settings(find_project(project).environment("dev"), contract())
    assert [(finding.path, finding.line) for finding in found] == [
        (file, floors), (file, part), (file, champion),
    ]  # fmt: skip
    assert "`f1_` is no metric of a classification; did you mean `f1`?" in found[0].problem
    assert "did you mean `roc_auc`?" in found[2].problem


def test_the_shipped_settings_suit_their_problem_type(project: Path) -> None:
    for name in (found := find_project(project)).environments:
        assert check_settings(found.environment(name), contract()) == []
        assert len(check_settings(found.environment(name), regression())) > 0
