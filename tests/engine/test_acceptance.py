"""The acceptance test of a deployment, against deployments that are functions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops import acceptance
from mlops.contract import Contract
from mlops.decisions import Check
from mlops.errors import MlopsError
from mlops.examples import boundary_rows, request_rows, violations
from mlops.files import write_json
from mlops.project import Environment
from mlops.scoring.requests import BadRequest, RequestReader
from mlops.settings import AcceptanceSettings, EnvironmentSettings, RolloutSettings
from mlops.validation import validate_table
from mlops.workspaces import Deployment, Endpoint, ModelVersion, Response

from .builders import body, contract, frame, regression

COLUMNS = {
    "number": {"type": "number", "minimum": -0.5, "maximum": 1e6},
    "free": {"type": "number"},
    "integer": {"type": "integer", "minimum": 2},
    "level": {"type": "integer", "values": [1, 2, 3]},
    "word": {"type": "category", "values": ["a", "b"], "nullable": True},
    "code": {"type": "category", "values": [10, "x"]},
    "text": {"type": "category"},
    "flag": {"type": "boolean", "nullable": True},
    "count": {"type": "integer", "nullable": True, "maximum": 9},
    "moment": {"type": "timestamp", "nullable": True},
}
Predict = Callable[[pd.DataFrame], list[Any]]


def no(table: pd.DataFrame) -> list[Any]:
    return ["no"] * len(table)


class Served:
    """Deployments, each of a version with a contract of its own: what the test needs of a workspace."""

    def __init__(self, folder: Path, rules: Contract, predict: Predict = no) -> None:
        rollout = RolloutSettings(stages=(100,), p95_ms=60_000)
        settings = EnvironmentSettings.model_construct(
            name="prod", rollout=rollout, acceptance=AcceptanceSettings(requests=20)
        )
        self.environment: Any = Environment("prod", settings, None)  # type: ignore[arg-type]
        self.folder = folder
        self.tags: dict[str, str] = {}
        self.answers: dict[str, tuple[RequestReader, Predict]] = {}
        self.threads: set[int] = set()
        self.add(1, rules, predict)

    def add(self, number: int, rules: Contract, predict: Predict) -> None:
        write_json(self.folder / str(number) / "model" / "contract.yml", rules.model_dump())
        self.answers[f"version-{number}"] = RequestReader(rules), predict

    def hold_out(self, table: pd.DataFrame) -> None:
        file = self.folder / "1" / "held_out" / "held_out.parquet"
        file.parent.mkdir()
        table.to_parquet(file)

    def versions(self) -> list[ModelVersion]:
        numbers = range(1, len(self.answers) + 1)
        return [ModelVersion("m", n, "prod", "run", "now", self.tags) for n in numbers]

    def files(self, version: ModelVersion) -> Path:
        return self.folder / str(version.number)

    def endpoint(self) -> Endpoint:
        numbers = {name: int(name.rpartition("-")[2]) for name in self.answers}
        return Endpoint("e", {name: Deployment(name, n, "now") for name, n in numbers.items()})

    def invoke(self, request: bytes, deployment: str, *, test: bool = False) -> Response:
        assert test, "no request of a test may be recorded as if a client had sent it"
        self.threads.add(threading.get_ident())
        reader, predict = self.answers[deployment]
        try:
            predictions = [{"prediction": p} for p in predict(reader.read(request))]
        except BadRequest as error:
            return Response(error.status, json.dumps(error.answer), 1.0, deployment)
        return Response(200, json.dumps({"predictions": predictions}), 1.0, deployment)

    def test(self, other: str | None = None) -> list[Check]:
        return list(
            acceptance.acceptance_test(self, "version-1", self.versions()[0], other)  # type: ignore[arg-type]
        )

    def compare(self) -> Check:
        return self.test("version-2")[-1]


def failed(checks: list[Check]) -> list[str]:
    return [check.rule for check in checks if not check.passed]


def test_every_way_to_break_the_contract_is_refused_with_the_name_of_the_field() -> None:
    rules = contract(COLUMNS)
    found = violations(rules, 1000)
    for kind, column, row in found:
        with pytest.raises(BadRequest) as caught:
            RequestReader(rules).read(body(row))
        assert caught.value.status == 400, (kind, column)
        assert column in caught.value.answer["error"]["message"], (kind, column)
    kinds = {kind: [v.column for v in found if v.kind == kind] for kind, _, _ in found}
    assert list(kinds) == [
        "a missing field", "a wrong type", "null", "a value out of range", "an unknown value",
    ]  # fmt: skip
    assert kinds["a missing field"] == kinds["a wrong type"] == list(COLUMNS)
    assert kinds["null"] == ["number", "free", "integer", "level", "code", "text"]
    assert kinds["a value out of range"] == ["number", "number", "integer", "count"]
    assert kinds["an unknown value"] == ["level", "word", "code"]


def test_of_many_columns_some_of_every_kind_are_tried_the_same_ones_each_time() -> None:
    columns: dict[str, Any] = {f"x{n}": {"type": "number"} for n in range(300)}
    rules = contract({**columns, "word": {"type": "category", "values": ["a"], "nullable": True}})
    chosen = violations(rules, 100)
    assert 100 <= len(chosen) <= 104
    assert "an unknown value" in {violation.kind for violation in chosen}
    assert chosen == violations(rules, 100)


def test_the_rows_at_the_limits_obey_the_contract() -> None:
    rules = contract(COLUMNS)
    rows = boundary_rows(rules)
    assert len(RequestReader(rules).read(body(*rows))) == len(rows)
    assert {row["number"] for row in rows} >= {-0.5, 1e6}
    assert any(row["flag"] is None for row in rows) and any(row["code"] == 10 for row in rows)
    assert boundary_rows(contract()) == []


def test_a_table_is_asked_as_it_was_validated() -> None:
    rules = contract(COLUMNS)
    examples = [*rules.examples(5), *boundary_rows(rules)]
    table = validate_table(
        frame(**{n: [e[n] for e in examples] for n in COLUMNS}), rules, target=False
    )
    read = RequestReader(rules).read(body(*request_rows(table, rules)))
    pd.testing.assert_frame_equal(read, table[list(rules.features)], check_dtype=False)


def test_a_deployment_that_keeps_its_contract_passes(tmp_path: Path) -> None:
    served = Served(tmp_path, contract(COLUMNS))
    checks = served.test()
    assert not failed(checks)
    assert checks[-1].value == "no previous deployment"
    (load,) = (check for check in checks if check.rule == "failed requests under load")
    assert load.detail.startswith("20 requests of 4 clients at once, ")
    assert load.detail.endswith(" in a second")


def test_what_lets_a_broken_row_pass_fails(tmp_path: Path) -> None:
    served = Served(tmp_path, contract(COLUMNS))
    loose = {**COLUMNS, "number": {"type": "number"}}
    served.answers["version-1"] = RequestReader(contract(loose)), no
    checks = served.test()
    assert failed(checks) == ["refuses a value out of range"]
    (check,) = (check for check in checks if not check.passed)
    assert (check.value, check.limit) == (2.0, 4.0)
    assert check.detail.startswith("number: 200, ")


@pytest.mark.parametrize("wrong", ["maybe", None, 1])
def test_a_prediction_that_is_no_class_fails(tmp_path: Path, wrong: Any) -> None:
    served = Served(tmp_path, contract(COLUMNS), lambda table: [wrong] * len(table))
    checks = served.test()
    assert "answers rows that obey the contract" in failed(checks)
    assert "a prediction that is no class of the contract" in checks[0].detail


def test_a_prediction_that_is_no_number_fails(tmp_path: Path) -> None:
    served = Served(tmp_path, regression(COLUMNS), lambda table: ["much"] * len(table))
    assert "a prediction that is no finite number" in served.test()[0].detail


def test_requests_that_fail_under_load_fail(tmp_path: Path) -> None:
    def tired(table: pd.DataFrame) -> list[Any]:
        raise MlopsError("it is tired") if len(table) == 1 else BadRequest(500, "too many")

    checks = {check.rule: check for check in Served(tmp_path, contract(), tired).test()}
    load = checks["failed requests under load"]
    assert (load.value, load.passed) == (20.0, False)
    assert "the first failure: 503 it is tired" in load.detail


def test_two_classifiers_agree_where_they_name_the_same_class(tmp_path: Path) -> None:
    rules = contract()
    served = Served(tmp_path, rules, lambda table: ["yes" if x > 2 else "no" for x in table["x"]])
    served.add(2, rules, lambda table: ["yes" if x > 4 else "no" for x in table["x"]])
    served.hold_out(frame(x=[float(x) for x in range(10)], label=["no"] * 10))
    check = served.compare()
    assert (check.value, check.limit, check.passed) == (0.8, 0.8, True)
    assert check.detail == "8 of 10 held-out rows: the same class"
    settings = served.environment.settings
    settings.__dict__["acceptance"] = AcceptanceSettings(agreement=0.9)
    assert not served.compare().passed


def test_a_model_that_was_retrained_may_answer_differently(tmp_path: Path) -> None:
    rules = contract()
    served = Served(tmp_path, rules, lambda table: ["yes"] * len(table))
    served.add(2, rules, no)
    served.hold_out(frame(x=[1.0, 2.0], label=["no"] * 2))
    assert not served.compare().passed
    served.tags = {"retraining": "the request"}
    check = served.compare()
    assert (check.value, check.limit, check.passed) == (0.0, None, True)
    assert check.detail.endswith("no limit for a model that was retrained")


def test_two_regressions_agree_within_half_of_the_standard_deviation(tmp_path: Path) -> None:
    rules = regression()
    served = Served(tmp_path, rules, lambda table: [x + (5 if x > 7 else 1) for x in table["x"]])
    served.add(2, rules, lambda table: list(table["x"]))
    served.hold_out(frame(x=[float(x) for x in range(10)], amount=[0.0] * 10))
    check = served.compare()
    assert check.value == 0.8
    assert "differ by at most 1.436, half of the standard deviation" in check.detail


def test_answers_that_say_nothing_about_each_other_are_not_compared(tmp_path: Path) -> None:
    served = Served(tmp_path, contract())
    served.add(2, contract({"y": {"type": "number"}}), no)
    served.hold_out(frame(x=[1.0], label=["no"]))
    check = served.compare()
    assert (check.value, check.passed) == ("not comparable", True)
    assert check.detail == "the other needs y, which the contract no longer has"
    served.add(2, contract({"x": {"type": "number", "maximum": 0}}), no)
    check = served.compare()
    assert (check.value, check.passed) == ("not comparable", True)
    assert "version-2 answered 400" in check.detail


def test_a_version_that_does_not_answer_its_own_held_out_rows_fails(tmp_path: Path) -> None:
    served = Served(tmp_path, contract())
    served.add(2, contract(), no)
    served.hold_out(frame(x=[float("inf")], label=["no"]))
    served.answers["version-2"] = served.answers["version-1"]
    assert served.compare().value == "not comparable", "the other does not answer them either"
    held_out = frame(x=[1.0, 2.0], label=["no"] * 2)
    held_out.to_parquet(tmp_path / "1" / "held_out" / "held_out.parquet")
    served.answers["version-1"] = served.answers["version-1"][0], lambda table: ["no"]
    check = served.compare()
    assert (check.value, check.passed) == ("no answer", False)
    assert check.detail == "version-1 answered 200: 1 predictions"
