"""`mlops invoke` and `mlops score`: requests and tables from files."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from .conftest import Loop


def expected(loop: Loop, table: pd.DataFrame, version: int, environment: str) -> pd.DataFrame:
    """What the model itself answers."""
    from mlops.contract import load_contract
    from mlops.step import step_module

    score, folder = step_module("score"), loop.model(version, environment)
    features = list(load_contract(folder / "contract.yml").features)
    answers = score.predict(score.load(folder), table[features].reset_index(drop=True))
    answers.insert(0, "sample_id", table["sample_id"].to_numpy())
    return answers


def test_tables_are_scored_in_order_with_their_ids_by_the_champion(released: Loop) -> None:
    sample = pd.read_parquet(released.root / "data" / "sample.parquet")
    table = sample.sample(frac=0.5, random_state=3).reset_index(drop=True)
    wanted = expected(released, table, 2, "prod")
    table.to_parquet(released.root / "in.parquet", index=False)
    table.drop(columns="diagnosis").to_csv(released.root / "in.csv", index=False)
    done = released.json(
        "score", "--env", "prod", "--input", "in.parquet", "--output", "new/out.csv"
    )
    assert done == {"version": 2, "rows": len(table), "output": "new/out.csv"}
    pd.testing.assert_frame_equal(pd.read_csv(released.root / "new" / "out.csv"), wanted)
    released.run(
        "score", "--env", "prod", "--input", "in.csv", "--output", "out.parquet", "--version", "1"
    )
    pd.testing.assert_frame_equal(
        pd.read_parquet(released.root / "out.parquet"), expected(released, table, 1, "prod")
    )
    assert not list((released.workspace("prod") / "batch").iterdir()), "nothing is left behind"
    assert sorted(path.name for path in (released.root / "new").iterdir()) == ["out.csv"]


def test_a_table_that_breaks_the_contract_leaves_every_output_alone(trained: Loop) -> None:
    table = pd.read_parquet(trained.root / "data" / "sample.parquet")
    table.loc[len(table) - 1, "mean_area"] = -3.0
    table.to_parquet(trained.root / "in.parquet", index=False)
    (trained.root / "old.csv").write_text("precious")
    for output in ("old.csv", "new.csv"):
        refused = trained.run("score", "--input", "in.parquet", "--output", output, status=3)
        last = f"`mean_area` must be at least 0: 1 row(s), the first: row {len(table) - 1}: -3.0"
        assert last in refused.stderr
    assert (trained.root / "old.csv").read_text() == "precious"
    assert not (trained.root / "new.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--input", "nowhere.csv", "--output", "o.csv"), 2, "nowhere.csv: there is no such file"),
        (("--input", "README.md", "--output", "o.csv"), 2, "only .parquet and .csv files"),
        (("--input", "fake.parquet", "--output", "o.csv"), 2, "not a readable table"),
        (("--input", "data/sample.parquet", "--output", "o.xlsx"), 2, "only .parquet and .csv"),
        (("--env", "prod", "--input", "fake.parquet", "--output", "o.csv"), 3, "no champion yet"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named(
    trained: Loop, arguments: tuple[str, ...], status: int, said: str
) -> None:
    (trained.root / "fake.parquet").write_text("id,name")
    refused = trained.run("score", *arguments, status=status)
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(trained.root.glob("o.*"))


def test_invoke_sends_a_file_and_says_who_answered(released: Loop) -> None:
    from mlops.contract import load_contract

    rows = load_contract(released.root / "data" / "contract.yml").examples(3)
    (released.root / "request.json").write_text(json.dumps({"input_data": rows}))
    prod = ("invoke", "--env", "prod", "--input", "request.json")
    done = released.json(*prod)
    assert (done["status"], done["deployment"]) == (200, "version-2")
    assert len(done["body"]["predictions"]) == 3
    other = released.run(*prod, "--deployment", "version-1")
    assert len(json.loads(other.stdout)["predictions"]) == 3
    assert "version-1 answered in" in other.stderr
    unknown = released.run(*prod, "--deployment", "version-9", status=1)
    assert "there is no deployment `version-9`, only: version-1, version-2" in unknown.stdout
    assert "the endpoint answered 404" in unknown.stderr

    (released.root / "request.json").write_text('{"input_data": [{"mean_radius": 1}]}')
    bad = released.json(*prod, status=1)
    assert bad["status"] == 400
    assert "`mean_texture` is missing" in bad["body"]["error"]["message"]
    missing = released.run("invoke", "--env", "prod", "--input", "nowhere.json", status=2)
    assert "nowhere.json: there is no such file" in missing.stderr


def test_invoke_without_a_deployment_says_so(trained: Loop) -> None:
    refused = trained.run("invoke", "--env", "dev", status=1)
    assert "no deployment that gets traffic" in refused.stdout
