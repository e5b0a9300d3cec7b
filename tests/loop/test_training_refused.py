"""`mlops train` where a rule, a file or a step says no."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Loop

FLOORS = "{roc_auc: 0.95, f1: 0.88, log_loss: 0.4}"


def card_of(output: str, loop: Loop) -> Path:
    line = next(line for line in output.splitlines() if line.startswith("model card: "))
    return loop.root / line.removeprefix("model card: ")


def test_data_that_breaks_its_contract_trains_nothing(trained: Loop) -> None:
    table = pd.read_parquet(trained.root / "data" / "sample.parquet")
    table.loc[[3, 7, 11], "mean_radius"] = [-1.0, -2.0, 99.0]
    table.loc[5, "diagnosis"] = None
    table.drop(columns="worst_area").to_parquet(trained.root / "broken.parquet", index=False)
    refused = trained.run("train", "--data", "broken.parquet", status=3)
    assert "step `prepare` ended with exit status 3" in refused.stderr
    assert "`mean_radius` must be at least 0: 2 row(s), the first: row 3: -1.0" in refused.stderr
    assert "`mean_radius` must be at most 50: 1 row(s), the first: row 11: 99.0" in refused.stderr
    assert "`diagnosis` must not be null: 1 row(s), the first: row 5" in refused.stderr
    assert "`worst_area` the column is missing" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert trained.versions() == [1]
    assert trained.runs() == ["FINISHED", "FAILED"]
    assert len(list((trained.workspace("dev") / "steps").glob("train-*"))) == 1


def test_a_model_that_the_gate_refuses_is_not_registered_and_the_reasons_are_kept(
    trained: Loop,
) -> None:
    trained.edit("environments/dev.yml", FLOORS, "{roc_auc: 0.5, log_loss: 0.4}")
    trained.edit("environments/dev.yml", "floors: {accuracy: 0.8}", "floors: {}")
    trained.edit("environments/dev.yml", "margin: 0.02", "margin: 0.001")
    refused = trained.run("train", "--set", "max_iterations=1", status=3)
    assert "prepare reused" in refused.stderr
    reasons = [line for line in refused.stdout.splitlines() if "FAILED" in line]
    assert len(reasons) == 2, "only what failed"
    assert "FAILED  log_loss: 0." in reasons[0]
    assert "at most 0.4" in reasons[0], "the limit is named"
    assert "FAILED  roc_auc against dev's champion, version 1" in reasons[1]
    assert "the gate refused the model (2 of " in refused.stderr
    assert trained.versions() == [1]
    assert trained.champion("dev") == 1
    record = trained.decisions("dev", "gate")[-1]
    assert (record["accepted"], record["version"]) == (False, None)
    floor, champion = (check for check in record["checks"] if not check["passed"])
    assert floor["value"] > floor["limit"] == 0.4
    assert champion["value"] < champion["limit"] == -0.001
    assert "refused in dev" in card_of(refused.stdout, trained).read_text()
    run = trained.query("dev", "select run_uuid from tags where value = 'refused'")[0][0]
    logged = trained.workspace("dev") / "artifacts" / run / "artifacts" / "decision"
    assert json.loads((logged / "decision.json").read_text())["accepted"] is False
    assert (logged / "model_card.md").is_file()


def test_a_failing_step_shows_its_name_its_status_and_the_end_of_its_log(trained: Loop) -> None:
    text = 'raise SystemExit(print("\\n".join(f"line {i}" for i in range(40)), flush=True) or 7)'
    trained.edit("src/churn_model/train.py", "    rules = load", f"    {text}\n    rules = load")
    failed = trained.run("train", status=1)
    assert "step `train` ended with exit status 7" in failed.stderr
    shown = failed.stderr.splitlines()
    assert "    line 39" in shown
    assert "    line 2" not in shown, "only the end"
    assert trained.versions() == [1]
    assert trained.runs()[-1] == "FAILED"
    logs = trained.workspace("dev").glob("artifacts/*/artifacts/logs/train.txt")
    assert any("line 39" in log.read_text() for log in logs), "the log goes to MLflow, too"
    # Mended, the training goes on.
    trained.edit("src/churn_model/train.py", f"    {text}\n", "")
    assert "train reused" in trained.run("train").stderr


def test_models_are_trained_in_the_first_environment_only(fresh_once: Loop) -> None:
    refused = fresh_once.run("train", "--env", "prod", status=3)
    assert "run `mlops train --env dev`" in refused.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("pipelines/training.yml", "jobs:\n", "jobs: [\n", "pipelines/training.yml:"),
        ("pipelines/training.yml", "parent.inputs.seed", "parent.inputs.sed", "seed"),
        ("environments/dev.yml", "gate:\n", "gate: {\n", "environments/dev.yml:"),
        ("environments/dev.yml", "margin: 0.02", "margn: 0.02", "did you mean `margin`?"),
        ("data/contract.yml", "columns:\n", "columns: ]\n", "data/contract.yml:"),
        ("data/contract.yml", "maximum: 50, unit", "maximum: lots, unit", "`columns.mean_radius"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    fresh: Loop, file: str, old: str, new: str, said: str
) -> None:
    path = fresh.root / file
    text = path.read_text()
    line = text.partition(old)[0].count("\n") + 1
    path.write_text(text.replace(old, new, 1))
    refused = fresh.run("train", status=None)
    assert refused.returncode in (1, 2)
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    named = re.search(rf"{file}:(\d+): ", refused.stderr)
    assert named, refused.stderr
    # YAML is often only seen to be broken on the line after.
    assert int(named[1]) - line in (0, 1, 2), (line, refused.stderr)
    assert fresh.versions() == []


def test_outside_of_a_project_every_command_says_so(tmp_path: Path) -> None:
    from tests.conftest import generated, run_mlops

    source = {"PYTHONPATH": str(generated() / "src")}
    for command in (["train"], ["status"], ["rollback"]):
        refused = run_mlops(tmp_path, *command, status=2, **source)
        assert "is not in a project" in refused.stderr
        assert "change into the project's folder" in refused.stderr
