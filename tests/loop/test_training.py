"""`mlops train`: what a training leaves in the registry, and what it reuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from .conftest import Loop


def artifacts_of(loop: Loop, version: int = 1) -> Path:
    return loop.model(version).parent


def params_of(loop: Loop, version: int) -> dict[str, str]:
    run = loop.query("dev", "select run_id from model_versions where version = ?", version)[0][0]
    return dict(loop.query("dev", "select key, value from params where run_uuid = ?", run))


def test_a_version_carries_its_lineage(trained: Loop) -> None:
    from mlops.contract import load_contract
    from mlops.digests import digest_path
    from mlops.workspaces.registry import digest_version

    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=trained.root, capture_output=True, text=True, check=True
    )
    tags = trained.tags(1)
    assert trained.versions() == [1]
    assert tags["git_commit"] == head.stdout.strip()
    assert tags["git_dirty"] == "false"
    assert tags["data_digest"] == digest_path(trained.root / "data" / "sample.parquet")
    assert tags["contract_digest"] == load_contract(trained.root / "data" / "contract.yml").digest
    assert tags["model_digest"] == digest_version(trained.model(1).parent)
    assert tags["gate.dev"] == "passed"
    assert tags["job"].startswith("training-")
    evaluation = json.loads((artifacts_of(trained) / "evaluation/evaluation.json").read_text())
    assert json.loads(tags["metrics"]) == pytest.approx(evaluation["metrics"], abs=1e-6)


def test_the_first_version_is_the_champion_of_dev(trained: Loop) -> None:
    assert trained.champion("dev") == 1


def test_the_run_has_what_a_data_scientist_looks_for(trained: Loop) -> None:
    run = trained.query("dev", "select run_id from model_versions")[0][0]
    metrics = dict(trained.query("dev", "select key, value from metrics where run_uuid = ?", run))
    assert metrics == pytest.approx(json.loads(trained.tags(1)["metrics"]), abs=1e-6)
    params = params_of(trained, 1)
    assert params["learning_rate"] == "0.1"
    assert params["data"] == "data/sample.parquet"
    assert trained.runs() == ["FINISHED"]
    found = artifacts_of(trained)
    for plot in ("roc", "confusion_matrix", "feature_importance"):
        png = (found / "evaluation" / "plots" / f"{plot}.png").read_bytes()
        assert png.startswith(b"\x89PNG"), plot
    for step in ("prepare", "train", "evaluate", "register"):
        assert (found / "logs" / f"{step}.txt").is_file(), step
    assert "held out" in (found / "logs" / "prepare.txt").read_text()
    card = (found / "decision" / "model_card.md").read_text()
    assert "accepted in dev as version 1" in card
    assert "![roc](plots/roc.png)" in card
    assert (found / "decision" / "plots" / "roc.png").is_file()


def test_the_model_has_a_signature_and_an_input_example(trained: Loop) -> None:
    model = yaml.safe_load((trained.model(1) / "MLmodel").read_text())
    contract = yaml.safe_load((trained.root / "data" / "contract.yml").read_text())
    features = [n for n in contract["columns"] if n not in ("sample_id", "diagnosis")]
    assert [column["name"] for column in json.loads(model["signature"]["inputs"])] == features
    assert (trained.model(1) / model["saved_input_example_info"]["artifact_path"]).is_file()
    assert (trained.model(1) / "contract.yml").read_text() == (
        trained.root / "data" / "contract.yml"
    ).read_text()


def test_the_held_out_rows_are_no_training_rows(trained: Loop) -> None:
    steps = trained.workspace("dev") / "steps"
    (prepared,) = steps.glob("prepare-*/outputs/prepared")
    sides = [pd.read_parquet(prepared / f"{name}.parquet") for name in ("train", "held_out")]
    train, held_out = (set(side["sample_id"]) for side in sides)
    assert not train & held_out
    sample = pd.read_parquet(trained.root / "data" / "sample.parquet")
    assert train | held_out == set(sample["sample_id"])


def test_training_again_reuses_the_steps_and_adds_no_version(trained: Loop) -> None:
    again = trained.run("train")
    for step in ("prepare", "train", "evaluate"):
        assert f"{step} reused" in again.stderr
    assert "register done" in again.stderr
    assert "version 1" in again.stdout
    assert trained.versions() == [1]
    assert trained.runs() == ["FINISHED", "FINISHED"]


def test_no_cache_runs_every_step_and_comes_to_the_same_metrics(trained: Loop) -> None:
    again = trained.run("train", "--no-cache")
    assert "reused" not in again.stderr
    # The files of a model carry the time of their training: it is a version of its own.
    assert trained.versions() == [1, 2]
    assert json.loads(trained.tags(2)["metrics"]) == json.loads(trained.tags(1)["metrics"])


def test_a_table_and_settings_of_ones_own_make_one_more_version(trained: Loop) -> None:
    from mlops.digests import digest_path

    table = pd.read_parquet(trained.root / "data" / "sample.parquet")
    table.to_csv(trained.root / "rows.csv", index=False)
    settings = ("--set", "max_iterations=20", "--set", "learning_rate=0.2")
    done = trained.json("train", "--data", "rows.csv", *settings)
    assert done["decision"]["version"] == 2
    assert done["decision"]["accepted"] is True
    assert "dev's champion, version 1" in done["decision"]["checks"][-1]["rule"]
    tags, params = trained.tags(2), params_of(trained, 2)
    assert tags["data_digest"] == digest_path(trained.root / "rows.csv")
    assert tags["git_dirty"] == "true", "rows.csv is not committed"
    assert (params["max_iterations"], params["learning_rate"]) == ("20", "0.2")
    assert params["data"] == "rows.csv"
    assert trained.champion("dev") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "learning_rat=0.1"], "did you mean `learning_rate`?"),
        (["--set", "learning_rate=fast"], "`learning_rate` must be of type number, not 'fast'"),
        (["--set", "max_iterations=1.5"], "`max_iterations` must be of type integer, not 1.5"),
        (["--set", "seed=true"], "`seed` must be of type integer, not True"),
        (["--set", "learning_rate=[1"], "`learning_rate` must be of type number"),
        (["--set", "learning_rate"], "--set takes NAME=VALUE, not learning_rate"),
        (["--set", "contract=nowhere.yml"], "nowhere.yml"),
        (["--data", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["--env", "production"], "there is no environment `production`"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_usage_error(fresh_once: Loop, arguments: list[str], said: str) -> None:
    refused = fresh_once.run("train", *arguments, status=2)
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (fresh_once.workspace("dev") / "steps").exists()
