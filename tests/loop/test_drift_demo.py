"""`mlops demo --drift`: data that drifts by itself, seen, and answered with a better model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SCRATCH, copy_of, generated

from .conftest import Loop

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"problem_type": "regression", "environments": "dev-prod", "serving": "batch"},
    ],
    ids=["classification", "regression-in-batches"],
)
def test_an_alarm_leads_to_a_better_model_and_ends(answers: dict[str, str]) -> None:
    loop = Loop(copy_of(generated(**answers), SCRATCH / f"drift-{len(answers)}"))
    try:
        account = json.loads(loop.run("demo", "--drift", "--json").stdout)
        check(account, regression=bool(answers))
        assert not list((loop.root / ".mlops").glob("mlw-*")), "the project's own are left alone"
    finally:
        loop.end()
        shutil.rmtree(loop.root)


def check(account: dict[str, Any], *, regression: bool) -> None:
    windows = account["windows"]
    assert [window["rows"] for window in windows] == [202] * 9
    alarms = [place for place, window in enumerate(windows) if window["alarms"]]
    assert alarms == [4], "quiet before, and quiet after"
    assert {"data_drift", "model_performance"} <= set(windows[4]["alarms"])
    assert windows[4]["drifted"] == ["life_expectancy"]
    assert [window["version"] for window in windows] == ["dev/1"] * 5 + ["dev/2"] * 4
    (retrained,) = account["retrained"]
    assert retrained.startswith("1989-01-01: retrained on the rows of the last 3285 days as dev/2")

    before, at_alarm, after = (windows[place]["metric"] for place in (0, 4, 5))
    worse, better = (at_alarm - before, at_alarm - after)
    if not regression:  # an accuracy, where that is an error
        worse, better = -worse, -better
    assert worse > 0.05
    assert better > 0.05

    said = Path(account["alarm_report"]).read_text("utf-8")
    assert "life_expectancy" in said[: said.index('id="features"')], "what is wrong comes first"
    ended = Path(account["report"]).read_text("utf-8")
    assert "Nothing is wrong" in ended
    assert "retraining" in ended
