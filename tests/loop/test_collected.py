"""What real deployments record: rows and answers in the folders that a monitor reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from .conftest import Loop
from .test_requests import Server, request

PLAYED = {"MLOPS_TIME": "2026-02-03T04:59:59Z"}
HOUR = "2026/02/03/04"


def collected(loop: Loop, collection: str, kind: str = "online") -> dict[str, list[Any]]:
    """The lines of a collection in prod, by deployment and hour."""
    name = loop.settings("prod")["endpoints"][kind]
    folder = loop.workspace("prod") / "data/workspaceblobstore/modelDataCollector" / name
    found: dict[str, list[Any]] = {}
    for file in sorted(folder.glob(f"*/{collection}/*/*/*/*/*.jsonl")):
        parts = file.relative_to(folder).parts
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        found.setdefault("/".join((parts[0], *parts[2:-1])), []).extend(lines)
    return found


def rows_of(lines: list[Any]) -> list[dict[str, Any]]:
    return [row for line in lines for row in line["data"]]


def test_a_request_stands_in_the_files_with_its_answer_and_a_test_does_not(
    released: Loop,
) -> None:
    assert not collected(released, "*"), "the tests of two releases are no clients"
    sample = pd.read_parquet(released.root / "data" / "sample.parquet").drop(columns="diagnosis")
    rows = sample.head(2).to_dict("records")
    (released.root / "request.json").write_bytes(request(rows))
    done = released.run("invoke", "--env", "prod", "--input", "request.json", "--json", **PLAYED)
    answer = json.loads(done.stdout)
    (released.root / "wrong.json").write_bytes(request([{**rows[0], "mean_area": -1}]))
    released.run("invoke", "--env", "prod", "--input", "wrong.json", status=1, **PLAYED)
    where = f"version-2/{HOUR}"
    inputs, outputs = (collected(released, f"model_{name}") for name in ("inputs", "outputs"))
    assert (list(inputs), list(outputs)) == ([where], [where])
    assert rows_of(inputs[where]) == rows
    ids = [{"sample_id": row["sample_id"]} for row in rows]
    recorded = rows_of(outputs[where])
    assert [{"sample_id": row["sample_id"]} for row in recorded] == ids
    for row, said in zip(recorded, answer["body"]["predictions"]):
        assert row["prediction"] == said["prediction"]
        assert abs(row["probability_benign"] - said["probability_benign"]) < 1e-9
    assert inputs[where][0]["correlationid"] == outputs[where][0]["correlationid"]
    ((noted, requests),) = collected(released, "requests").items()
    assert noted == where
    assert [(line["status"], line["deployment"]) for line in requests] == [
        (200, "version-2"), (400, "version-2"),
    ]  # fmt: skip
    assert all(line["time"] == "2026-02-03T04:59:59.000Z" for line in requests)
    assert all(0 < line["milliseconds"] < 60_000 for line in requests)


def test_ctrl_c_loses_nothing_that_was_answered(released: Loop) -> None:
    server = Server(released)
    rows = server.rows(40)
    for number, row in enumerate(rows, 1):
        assert server.post(request([{**row, "sample_id": number}]))[0] == 200
    server.running.interrupt()
    inputs, outputs = (collected(released, f"model_{name}") for name in ("inputs", "outputs"))
    for found in (inputs, outputs):
        assert {hour.split("/")[0] for hour in found} == {"version-2"}
        ids = [row["sample_id"] for lines in found.values() for row in rows_of(lines)]
        assert sorted(ids) == list(range(1, 41))
    assert sum(map(len, collected(released, "requests").values())) == 40
    assert "Traceback" not in server.running.output()


def test_what_a_column_holds_that_is_left_out_is_in_no_file(trained: Loop) -> None:
    # The contract that counts is the one that the model was trained with.
    contract = trained.model(1) / "contract.yml"
    text = contract.read_text("utf-8")
    contract.write_text(text.replace("mean_radius: {type", "mean_radius: {collect: false, type"))
    rows = pd.read_parquet(trained.root / "data" / "sample.parquet").head(30)
    rows.assign(mean_radius=12.3456789).to_parquet(trained.root / "in.parquet", index=False)
    trained.run("score", "--input", "in.parquet", "--output", "out.csv")
    files = list((trained.workspace("dev") / "data").rglob("*.jsonl"))
    assert sorted(Path(file).parts[-6] for file in files) == ["model_inputs", "model_outputs"]
    assert not any("12.3456789" in file.read_text("utf-8") for file in files)
    inputs = next(file for file in files if "model_inputs" in file.parts)
    (line,) = inputs.read_text("utf-8").splitlines()
    found = json.loads(line)["data"]
    assert [row["sample_id"] for row in found] == rows["sample_id"].tolist()
    assert "mean_radius" not in found[0]
    assert "mean_texture" in found[0]
