"""The user's part as it is shipped: split, features, and the steps on a table of every type."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold, cross_val_score

from mlops.contract import Contract, load_contract
from mlops.errors import Refused
from mlops.files import read_json
from mlops.scoring.requests import RequestReader
from mlops.step import step_module
from mlops.validation import ContractViolation

from .builders import body, contract, frame, regression, write

COLUMNS: dict[str, Any] = {
    "key": {"type": "integer"},
    "sold": {"type": "timestamp", "nullable": True},
    "region": {"type": "category", "nullable": True},
    "organic": {"type": "boolean", "nullable": True},
    "rating": {"type": "integer", "nullable": True},
    "alcohol": {"type": "number", "nullable": True},
    "proline": {"type": "number"},
}


def wine() -> pd.DataFrame:
    """scikit-learn's wine with a column of every type, each with missing values."""
    data, generator = load_wine(as_frame=True), np.random.default_rng(0)
    rows = len(data.data)

    def with_gaps(values: Any) -> pd.Series:
        return pd.Series(values, dtype="object").where(generator.random(rows) > 0.1, None)

    return frame(
        key=np.arange(rows) * 17,
        sold=with_gaps(pd.date_range("2023-01-01", periods=rows, freq="31h").astype(str)),
        region=with_gaps(generator.choice(["north", "é"], rows)),
        organic=with_gaps(generator.random(rows) < 0.5),
        rating=with_gaps(generator.integers(1, 5, rows)).astype("float64"),
        alcohol=data.data["alcohol"].where(generator.random(rows) > 0.1),
        proline=data.data["proline"], kind=data.target,
    )  # fmt: skip


class Steps:
    """prepare, train and evaluate, run one after the other in this process."""

    def __init__(self, folder: Path, target: dict[str, Any]) -> None:
        content = {
            "title": "Wine", "problem_type": "classification", "target": "kind", "id": "key",
            "columns": {**COLUMNS, "kind": target}, "slices": [{"column": "region"}],
        }  # fmt: skip
        self.contract = write(folder / "contract.yml", yaml.safe_dump(content, sort_keys=False))
        self.rules = load_contract(self.contract)
        table = wine()
        if target["type"] == "category":
            table["kind"] = table["kind"].map(dict(enumerate(target["values"])))
        table.to_parquet(folder / "data.parquet")
        self.prepared, self.model, self.evaluation = (
            folder / name for name in ("prepared", "model", "evaluation")
        )
        for made in (self.prepared, self.model, self.evaluation):
            made.mkdir()
        common: dict[str, Any] = {"contract": self.contract, "prepared": self.prepared}
        step_module("prepare").prepare(data=folder / "data.parquet", holdout_fraction=0.3, **common)
        step_module("train").train(
            model=self.model, learning_rate=0.1, max_iterations=20, seed=0, **common
        )
        step_module("evaluate").evaluate(model=self.model, evaluation=self.evaluation, **common)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        score = step_module("score")
        answers: pd.DataFrame = score.predict(score.load(self.model), table)
        return answers


@pytest.fixture(
    scope="module",
    params=[
        {"type": "category", "values": ["barolo", "grignolino", "barbera"]},
        {"type": "integer", "values": [2, 0, 1]},
    ],
    ids=["text", "whole numbers"],
)
def steps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    return Steps(tmp_path_factory.mktemp("wine"), request.param)


def test_three_classes_are_learned_from_columns_of_every_type(steps: Steps) -> None:
    evaluation = read_json(steps.evaluation / "evaluation.json")
    assert evaluation["metrics"]["accuracy"] > 0.8
    assert evaluation["metrics"]["roc_auc"] > 0.9
    assert set(evaluation["slices"]) >= {"region = north", "region = é", "region is null"}
    for name in evaluation["plots"]:
        assert (steps.evaluation / "plots" / f"{name}.png").read_bytes()[1:4] == b"PNG"


def test_cross_validation_reads_training_rows_only_and_the_model_stays_the_same(
    steps: Steps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(steps.prepared / "train.parquet", tmp_path)
    (tmp_path / "model").mkdir()
    step_module("train").train(
        prepared=tmp_path, contract=steps.contract, model=tmp_path / "model",
        learning_rate=0.1, max_iterations=20, seed=0, folds=3,
    )  # fmt: skip
    logged = dict(re.findall(r"(?m)^validation_(\w+): (.+)$", capsys.readouterr().out))
    assert set(logged) == {"accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"}
    score = step_module("score")
    rows = pd.read_parquet(tmp_path / "train.parquet")
    features, truth = rows[list(steps.rules.features)], rows["kind"].astype(str)
    model = score.load(tmp_path / "model")
    pd.testing.assert_frame_equal(score.predict(model, features), steps.predict(features))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    expected = cross_val_score(model, features, truth, cv=folds, scoring="accuracy").mean()
    assert float(logged["accuracy"]) == pytest.approx(expected, abs=1e-3)


def test_every_row_is_in_one_part_and_the_summary_counts_them(steps: Steps) -> None:
    train, held_out = (
        pd.read_parquet(steps.prepared / f"{name}.parquet") for name in ("train", "held_out")
    )
    summary = read_json(steps.prepared / "summary.json")
    assert sorted([*train["key"], *held_out["key"]]) == sorted(wine()["key"])
    assert (summary["rows"], summary["train_rows"], summary["held_out_rows"]) == (
        178, len(train), len(held_out),
    )  # fmt: skip


def test_answers_are_classes_as_text_with_probabilities(steps: Steps) -> None:
    held_out = pd.read_parquet(steps.prepared / "held_out.parquet")
    answers = steps.predict(held_out[list(steps.rules.features)])
    names = [f"probability_{name}" for name in steps.rules.classes]
    assert set(answers.columns) == {"prediction", *names}
    assert answers[names].sum(axis=1).to_numpy() == pytest.approx(1)
    best = answers[names].idxmax(axis=1).str.removeprefix("probability_")
    assert answers["prediction"].tolist() == best.tolist()


def test_a_request_with_an_unseen_category_and_nulls_is_answered(steps: Steps) -> None:
    row = {
        "sold": "2031-05-05T10:00:00Z", "region": "never seen", "organic": True, "rating": 3,
        "alcohol": 13.2, "proline": 900.0,
    }  # fmt: skip
    empty = {**dict.fromkeys(row), "proline": 900.0}
    for rows in ([row], [empty], [row, empty]):
        answers = steps.predict(RequestReader(steps.rules).read(body(*rows)))
        assert set(answers["prediction"]) <= set(steps.rules.classes)


def test_a_row_gets_the_same_answer_alone_and_among_others(steps: Steps) -> None:
    held_out = pd.read_parquet(steps.prepared / "held_out.parquet")[list(steps.rules.features)]
    together = steps.predict(held_out)
    alone = pd.concat([steps.predict(held_out.iloc[[i]]) for i in range(8)], ignore_index=True)
    pd.testing.assert_frame_equal(alone, together.head(8))


def split(table: pd.DataFrame, rules: Contract) -> pd.Series:
    held_out: pd.Series = step_module("prepare").is_held_out(table, rules, 0.3)
    return held_out


@pytest.mark.parametrize("with_id", [True, False])
def test_a_row_stays_on_its_side_when_rows_are_added_removed_or_reordered(with_id: bool) -> None:
    from mlops.validation import validate_table

    target = {"type": "integer", "values": [0, 1, 2]}
    names = COLUMNS if with_id else {k: v for k, v in COLUMNS.items() if k != "key"}
    rules = contract({**names, "kind": target}, target="kind", id="key" if with_id else None)
    table = wine() if with_id else wine().drop(columns="key")
    # Without nulls pandas holds whole numbers in another type: no reason to change sides.
    some = table[table["rating"].notna() & table["organic"].notna()]
    some = some.astype({"rating": "int64", "organic": "bool"})

    def sides(rows: pd.DataFrame) -> pd.Series:
        return split(validate_table(rows, rules), rules).set_axis(rows.index, axis=0)

    everything = sides(table)
    assert 0.2 < everything.mean() < 0.4
    for rows in (table.sample(frac=1, random_state=1), table.iloc[100:], some):
        assert (sides(rows) == everything.loc[rows.index]).all()


def test_the_id_alone_decides_the_side() -> None:
    rules = contract({"key": {"type": "integer"}, "x": {"type": "number"}}, id="key")
    first = frame(key=range(100), x=1.0, label="no")
    assert (split(first, rules) == split(first.assign(x=2.0, label="yes"), rules)).all()


@pytest.mark.parametrize("labels", [["no"] * 40, ["no"] * 39 + ["yes"]])
def test_a_table_in_which_a_class_is_on_one_side_only_is_refused(
    tmp_path: Path, labels: list[str]
) -> None:
    rules = contract({"key": {"type": "integer"}, "x": {"type": "number"}}, id="key")
    path = write(tmp_path / "c.yml", yaml.safe_dump(rules.model_dump(mode="json")))
    frame(key=range(40), x=1.0, label=labels).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(Refused, match="no rows of label yes"):
        step_module("prepare").prepare(tmp_path / "d.parquet", path, tmp_path, 0.3)
    assert not (tmp_path / "train.parquet").exists()


def test_a_table_that_breaks_its_contract_is_not_split(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yml", yaml.safe_dump(regression().model_dump(mode="json")))
    frame(x=[1.0, None], amount=[1.0, 2.0]).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(ContractViolation):
        step_module("prepare").prepare(tmp_path / "d.parquet", path, tmp_path, 0.3)
    assert not (tmp_path / "train.parquet").exists()


def test_features_keep_missing_values_and_split_dates() -> None:
    rules = contract(COLUMNS, id="key")
    made, categories = step_module("features").make_features(rules)
    table = frame(
        sold=pd.to_datetime(["2024-02-29 13:00", None]), region=["a", None],
        organic=pd.Series([True, None], dtype="object"), rating=[4.0, np.nan],
        alcohol=[13.5, np.nan], proline=[1.0, 2.0],
    )  # fmt: skip
    values = made.fit_transform(table)
    assert categories == [0, 1]
    days = (pd.Timestamp("2024-02-29 13:00") - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    assert values[0].tolist() == [0, 0, 4.0, 13.5, 1.0, days, 2, 3, 13]
    assert values[1, :2].tolist() == [1, 1]  # a missing category is a category of its own
    assert np.isnan(values[1, 2:]).tolist() == [True] * 2 + [False] + [True] * 4
    unseen = made.transform(table.assign(region=["z", "a"]))
    assert np.isnan(unseen[0, 0])
    assert unseen[1, 0] == 0
