"""`mlops monitor` on requests that a real deployment was asked, with labels that came later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from .conftest import Loop

DAY = "2026-03-{:02}T10:00:00Z"


def ask(loop: Loop, folder: Path, table: pd.DataFrame, day: int) -> None:
    """Send rows to the endpoint, on a day of the past."""
    request = folder / "request.json"
    rows = json.loads(table.drop(columns=["diagnosis"]).to_json(orient="records"))
    request.write_text(json.dumps({"input_data": rows}), encoding="utf-8")
    loop.run("invoke", "--env", "prod", "--input", str(request), MLOPS_TIME=DAY.format(day))


def monitor(loop: Loop, day: int, status: int) -> dict[str, Any]:
    """What the monitor says in the evening of a day."""
    evening = f"2026-03-{day:02}T22:00:00Z"
    done = loop.run("monitor", "--env", "prod", "--json", status=status, MLOPS_TIME=evening)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def state(found: dict[str, Any]) -> dict[str, str]:
    return {signal["name"]: signal["state"] for signal in found["monitor"]["signals"]}


def test_from_requests_to_an_alarm_and_a_page(released: Loop, tmp_path: Path) -> None:
    sample = pd.read_parquet(released.root / "data" / "sample.parquet")
    early, late = sample[::2], sample[1::2].copy()
    ask(released, tmp_path, early, day=3)
    late["mean_radius"] = (late["mean_radius"] * 1.6).clip(upper=50)
    ask(released, tmp_path, late, day=20)

    before = monitor(released, 4, status=0)
    assert state(before) == {
        "data_drift": "fine", "prediction_drift": "fine", "data_quality": "fine",
        "feature_attribution_drift": "fine", "model_performance": "unknown",
    }  # fmt: skip
    labels = tmp_path / "labels.parquet"
    early[["sample_id", "diagnosis"]].to_parquet(labels)
    released.run("data", "push", "--env", "prod", "--name", "ground_truth", str(labels))

    after = monitor(released, 21, status=3)
    assert state(after) == {
        "data_drift": "breached", "prediction_drift": "fine", "data_quality": "breached",
        "feature_attribution_drift": "fine", "model_performance": "fine",
    }  # fmt: skip
    assert {alarm["key"] for alarm in after["alarms"]} == {
        "churn-model/prod/data_drift", "churn-model/prod/data_quality",
    }  # fmt: skip
    drift = next(s for s in after["monitor"]["signals"] if s["name"] == "data_drift")
    breached = [f["name"] for f in drift["features"] if f["state"] == "breached"]
    assert breached == ["mean_radius"]
    assert after["monitor"]["health"]["requests"] == 1

    page = released.root / ".mlops" / "monitoring" / "prod" / "report.html"
    assert "mean_radius" in page.read_text("utf-8")
    assert json.loads(page.with_suffix(".json").read_text("utf-8")) == after["monitor"]


def test_an_empty_window_ends_no_alarm(released: Loop, tmp_path: Path) -> None:
    sample = pd.read_parquet(released.root / "data" / "sample.parquet")[:280]
    sample["mean_radius"] = (sample["mean_radius"] * 1.6).clip(upper=50)
    ask(released, tmp_path, sample, day=3)
    keys = [alarm["key"] for alarm in monitor(released, 4, status=3)["alarms"]]
    assert keys == [alarm["key"] for alarm in monitor(released, 25, status=3)["alarms"]]

    then = released.json("monitor", "--env", "prod", "--at", "2026-03-02T22:00:00Z")
    assert then["alarms"] == [], "on that day, nothing had happened yet"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "yesterday"], "--at is 'yesterday'; write a time in ISO 8601"),
        (["--at", ""], "--at is ''; write a time in ISO 8601"),
        (["--at", "2999-01-01"], "--at is 2999-01-01, which is to come"),
        (["--report", "docs"], "--report docs is a folder; name a file in it"),
    ],
)
def test_a_mistake_is_named_before_any_work(
    released: Loop, arguments: list[str], said: str
) -> None:
    done = released.run("monitor", *arguments, status=2)
    assert said in done.stderr
    assert "reading" not in done.stderr
