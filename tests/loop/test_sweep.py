"""`mlops train --pipeline sweep`: a search through the gate, what it leaves, and what it reuses."""

from __future__ import annotations

import json

import pytest

from .conftest import Loop

LIMITS = "max_total_trials: 8"


def trials_of(loop: Loop, parent: str) -> dict[str, tuple[str, str]]:
    """The state and the id of each trial's run, by its name."""
    sql = (
        "select name, status, r.run_uuid from runs r join tags t on r.run_uuid = t.run_uuid "
        "where t.key = 'mlflow.parentRunId' and t.value = ?"
    )
    return {name: (status, run) for name, status, run in loop.query("dev", sql, parent)}


def values(loop: Loop, table: str, run: str) -> dict[str, str]:
    return dict(loop.query("dev", f"select key, value from {table} where run_uuid = ?", run))


def test_a_search_goes_through_the_gate_and_its_trials_are_reused(fresh: Loop) -> None:
    fresh.edit("pipelines/sweep.yml", LIMITS, "max_total_trials: 3")
    fresh.edit("pipelines/sweep.yml", "values: [50, 100, 200]", "values: [20, 30, 40]")
    first = fresh.run("train", "--pipeline", "sweep")
    assert "train ... 3 trials" in first.stderr
    assert fresh.versions() == [1]
    assert fresh.champion("dev") == 1
    assert fresh.tags(1)["job"].startswith("sweep-")

    # Every trial is a run below that of the job, and the best of them is named there.
    job = fresh.query("dev", "select run_id from model_versions")[0][0]
    trials = trials_of(fresh, job)
    assert sorted(trials) == ["train-trial-1", "train-trial-2", "train-trial-3"]
    areas = {}
    for status, run in trials.values():
        assert status == "FINISHED"
        assert set(values(fresh, "params", run)) == {"learning_rate", "max_iterations"}
        areas[run] = float(values(fresh, "metrics", run)["validation_roc_auc"])
    assert len(set(areas.values())) == 3
    assert values(fresh, "tags", job)["best_child_run_id"] == max(areas, key=areas.__getitem__)
    # The gate's metrics are those of the held-out rows.
    held_out = {name: float(value) for name, value in values(fresh, "metrics", job).items()}
    assert held_out == pytest.approx(json.loads(fresh.tags(1)["metrics"]), abs=1e-6)
    logs = fresh.model(1).parent / "logs"
    assert "best" in (logs / "train.txt").read_text()
    assert "validation_roc_auc" in (logs / "train-trial-1.txt").read_text()

    again = fresh.run("train", "--pipeline", "sweep")
    for name in ("trial 1 of 3", "trial 2 of 3", "trial 3 of 3"):
        assert f"train: {name} reused: validation_roc_auc" in again.stderr
    for step in ("prepare", "train", "evaluate"):
        assert f"{step} reused" in again.stderr
    assert fresh.versions() == [1]

    # A killed search leaves nothing half-made, and what was finished is not run again.
    fresh.edit("pipelines/sweep.yml", "max_total_trials: 3", "max_total_trials: 5")
    steps = fresh.workspace("dev") / "steps"
    command = fresh.start("train", "--pipeline", "sweep")
    command.until(lambda: len(list(steps.glob("train-trial-*"))) >= 4).kill()
    finished = len(list(steps.glob("train-trial-*")))
    assert {status for status, _ in trials_of(fresh, job).values()} == {"FINISHED"}
    last = fresh.run("train", "--pipeline", "sweep")
    assert last.stderr.count(" reused: validation_roc_auc") == finished
    assert not list(steps.glob(".partial-*"))
    assert "RUNNING" not in fresh.runs()


def test_a_pipeline_that_is_not_there_is_a_usage_error(fresh_once: Loop) -> None:
    refused = fresh_once.run("train", "--pipeline", "swep", status=2)
    assert "there is no pipeline `swep` in pipelines/; write one of: sweep, training" in (
        refused.stderr
    )


def test_a_train_step_that_knows_no_folds_trains_as_before_and_is_told_about_searches(
    fresh: Loop,
) -> None:
    file = next(fresh.root.glob("src/*/train.py"))
    text = file.read_text("utf-8")
    start, end = text.index("    if folds:"), text.index("    fitted = pipeline.fit")
    text = (text[:start] + text[end:]).replace("    folds: int = 0,\n", "")
    file.write_text(text.replace("cross_validate, log_validation, ", ""), "utf-8")
    assert "no findings" in fresh.run("check").stdout
    refused = fresh.run("train", "--pipeline", "sweep", status=2)
    assert "has no parameter `folds`" in refused.stderr
    assert "docs/training.md" in refused.stderr
    fresh.run("train")
    assert fresh.versions() == [1]
