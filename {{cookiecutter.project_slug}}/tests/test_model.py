from pathlib import Path

import pandas as pd
import pytest

from mlops.contract import Contract
from mlops.files import read_json
from mlops.pipeline import read_pipeline
from mlops.project import Project
from mlops.step import step_module


@pytest.fixture(scope="module")
def steps(
    project: Project, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The folders that prepare, train and evaluate wrote, with the pipeline's own settings."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("prepared", "model", "evaluation")}
    inputs = read_pipeline(project.training_pipeline)[0].inputs
    common = {"prepared": folders["prepared"], "contract": project.contract}
    step_module("prepare").prepare(
        data=sample, holdout_fraction=inputs["holdout_fraction"], **common
    )
    settings = {name: inputs[name] for name in ("learning_rate", "max_iterations", "seed")}
    step_module("train").train(model=folders["model"], **common, **settings)
    step_module("evaluate").evaluate(
        model=folders["model"], evaluation=folders["evaluation"], **common
    )
    return folders


def test_held_out_rows_are_no_training_rows(steps: dict[str, Path], contract: Contract) -> None:
    train = pd.read_parquet(steps["prepared"] / "train.parquet")
    held_out = pd.read_parquet(steps["prepared"] / "held_out.parquet")
    assert not set(train[contract.id]) & set(held_out[contract.id])


def test_a_row_stays_on_its_side_when_rows_are_added_before_it(
    sample: Path, contract: Contract
) -> None:
    table = pd.read_parquet(sample)
    is_held_out = step_module("prepare").is_held_out
    everything = is_held_out(table, contract, 0.2)
    assert (is_held_out(table.iloc[100:], contract, 0.2) == everything.iloc[100:]).all()


def test_the_model_answers_every_row(steps: dict[str, Path], contract: Contract) -> None:
    score = step_module("score")
    held_out = pd.read_parquet(steps["prepared"] / "held_out.parquet")
    answers = score.predict(score.load(steps["model"]), held_out[list(contract.features)])
    assert len(answers) == len(held_out)
    assert answers["prediction"].notna().all()


def test_the_evaluation_has_metrics_slices_and_plots(steps: dict[str, Path]) -> None:
    evaluation = read_json(steps["evaluation"] / "evaluation.json")
    assert all(value is not None for value in evaluation["metrics"].values())
    assert evaluation["slices"]
    for name in evaluation["plots"]:
        assert (steps["evaluation"] / "plots" / f"{name}.png").stat().st_size > 1000
