from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mlops.contract import Contract, load_contract
from mlops.documents import InvalidFile
from mlops.scoring.requests import RequestReader
from mlops.validation import validate_table

from .. import conftest
from .builders import TARGET, body, contract, regression, write

EVERY_TYPE: dict[str, Any] = {
    "number": {"type": "number", "minimum": -1.5, "maximum": 2.5},
    "free": {"type": "number", "nullable": True},
    "only maximum": {"type": "number", "maximum": -3},
    "only minimum": {"type": "integer", "minimum": 7},
    "integer": {"type": "integer", "minimum": -2, "maximum": 2},
    "choice": {"type": "integer", "values": [1, 2, 4]},
    "category": {"type": "category", "values": ["é", "b"]},
    "code": {"type": "category", "values": [1, 2]},
    "text": {"type": "category"},
    "flag": {"type": "boolean"},
    "when": {"type": "timestamp"},
    "narrow": {"type": "number", "minimum": 0.12345678, "maximum": 0.12345679},
}


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ({"type": "category", "minimum": 0}, "belong to a number or an integer"),
        ({"type": "boolean", "maximum": 0}, "belong to a number or an integer"),
        ({"type": "number", "values": [1]}, "belong to a category or an integer"),
        ({"type": "category", "values": []}, "at least one value"),
        ({"type": "category", "values": ["1", 1]}, "a value twice"),
        ({"type": "integer", "values": ["1"]}, "must be integers"),
        ({"type": "integer", "values": [1, 5], "maximum": 3}, "not both"),
        ({"type": "category", "values": [True, False]}, "in quotes"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "greater than `maximum`"),
        ({"type": "text"}, "'number', 'integer', 'category', 'boolean' or 'timestamp'"),
        ({"type": "number", "min": 1}, "Extra inputs"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(column: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        contract({"x": column})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"target": "lable"}, "no column; did you mean `label`"),
        ({"id": "x1"}, "`id` names `x1`, which is no column"),
        ({"timestamp": "when"}, "`timestamp` names `when`, which is no column"),
        ({"id": "label"}, "must name different columns"),
        ({"id": "x", "timestamp": "c"}, "no column left to learn from"),
        ({"slices": [{"column": "y"}]}, "a slice names `y`"),
        ({"slices": [{"column": "x"}]}, "needs `edges`"),
        ({"slices": [{"column": "c", "edges": [1]}]}, "has no `edges`"),
        ({"slices": [{"column": "x", "edges": [2, 1]}]}, "must ascend"),
        ({"slices": [{"column": "x", "edges": [1, 1]}]}, "must ascend"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(
    settings: dict[str, Any], problem: str
) -> None:
    columns = {"x": {"type": "number"}, "c": {"type": "category"}, "label": TARGET}
    with pytest.raises(ValueError, match=problem):
        contract(columns, **{"target": "label", **settings})


@pytest.mark.parametrize(
    ("kind", "target", "problem"),
    [
        ("classification", {**TARGET, "nullable": True}, "must not be nullable"),
        ("classification", {"type": "category", "values": ["a"]}, "two `values` or more"),
        ("classification", {"type": "category"}, "two `values` or more"),
        ("regression", TARGET, "must be a number or an integer"),
        ("regression", {"type": "number", "nullable": True}, "must not be nullable"),
    ],
)
def test_a_target_must_suit_the_problem_type(kind: str, target: Any, problem: str) -> None:
    columns = {"x": {"type": "number"}, "y": target}
    with pytest.raises(ValueError, match=problem):
        contract(columns, target="y", problem_type=kind)


def test_a_contract_needs_a_column_beside_the_target() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        contract({})


def test_every_wrong_name_is_listed_at_once() -> None:
    with pytest.raises(ValueError, match=r"`target` names `a`.*`id` names `b`.*slice names `c`"):
        contract(
            {"x": {"type": "number"}, "y": TARGET}, target="a", id="b", slices=[{"column": "c"}]
        )


def test_problems_in_a_contract_file_have_lines(tmp_path: Any) -> None:
    text = (
        "title: t\nproblem_type: regression\ntarget: y\ncolumns:\n"
        "  y: {type: number}\n  x: {type: nmber}\n  z: {type: number, minimum: 2, maximum: 1}\n"
    )
    with pytest.raises(InvalidFile) as caught:
        load_contract(write(tmp_path / "contract.yml", text))
    assert [finding.line for finding in caught.value.findings] == [6, 7]


def test_features_leave_out_target_id_and_timestamp() -> None:
    columns = {
        "key": {"type": "integer"}, "b": {"type": "number"}, "at": {"type": "timestamp"},
        "label": TARGET, "a": {"type": "number"},
    }  # fmt: skip
    rules = contract(columns, target="label", id="key", timestamp="at")
    assert list(rules.features) == ["b", "a"]
    assert list(rules.expected(target=True)) == ["b", "label", "a"]
    assert list(rules.expected(target=False)) == ["b", "a"]


def test_classes_are_text_in_the_order_of_the_contract() -> None:
    rules = contract(
        {"x": {"type": "number"}, "y": {"type": "integer", "values": [2, 0, 1]}}, target="y"
    )
    assert rules.classes == ["2", "0", "1"]
    assert regression().classes == []


@pytest.mark.parametrize("seed", range(5))
def test_examples_obey_the_contract_as_tables_and_as_requests(seed: int) -> None:
    rules = contract(EVERY_TYPE)
    rows = rules.examples(40, seed)
    table = validate_table(pd.DataFrame(rows), rules, target=False)
    read = RequestReader(rules).read(body(*rows))
    pd.testing.assert_frame_equal(table, read)


def test_examples_are_the_same_for_the_same_seed() -> None:
    rules = contract(EVERY_TYPE)
    assert rules.examples(10, 1) == rules.examples(10, 1)
    assert rules.examples(10, 1) != rules.examples(10, 2)


@pytest.mark.parametrize("problem_type", ["classification", "regression"])
def test_examples_of_the_shipped_contracts_obey_them(problem_type: str) -> None:
    folder = conftest.TEMPLATE / "{{cookiecutter.project_slug}}" / "data"
    rules = load_contract(folder / f"contract__{problem_type}.yml")
    rows = rules.examples(20)
    table = validate_table(pd.DataFrame(rows), rules, target=False)
    pd.testing.assert_frame_equal(table, RequestReader(rules).read(body(*rows)))


def test_the_digest_does_not_depend_on_layout(tmp_path: Any) -> None:
    block = (
        "title: t\nproblem_type: regression\ntarget: y\n"
        "columns:\n  x:\n    type: number\n    minimum: 0\n  y: {type: number}\n"
    )
    flow = (
        "# a comment\ncolumns: {x: {minimum: 0.0, type: number}, y: {type: number}}\n"
        "target: y\nproblem_type: regression\ntitle: 't'\n"
    )
    first = load_contract(write(tmp_path / "a.yml", block))
    second = load_contract(write(tmp_path / "b.yml", flow))
    assert first.digest == second.digest
    assert first.digest != load_contract(write(tmp_path / "c.yml", block.replace("0", "1"))).digest


def test_what_is_collected_is_no_part_of_the_digest_and_changes_no_older_one() -> None:
    columns = {"x": {"type": "number", "minimum": 0}, "y": {"type": "number"}}

    def digest(**more: Any) -> str:
        x = {**columns["x"], **more}
        return Contract.model_validate(
            {"title": "t", "problem_type": "regression", "target": "y",
             "columns": {**columns, "x": x}}
        ).digest  # fmt: skip

    # That of the release before `collect` was known: models were registered with it.
    assert digest() == "d3bc04c7d898b6e34aeb63b455c8bf458f7ed25d2b1e8d7f3bde5fd0c4c6c4bc"
    assert digest(collect=False) == digest()
    assert digest(nullable=True) != digest()


def test_the_target_and_what_is_left_out_are_not_collected() -> None:
    rules = contract(
        {"key": {"type": "integer"}, "at": {"type": "timestamp"},
         "age": {"type": "number", "collect": False}, "x": {"type": "number"}},
        id="key", timestamp="at",
    )  # fmt: skip
    assert list(rules.collected) == ["key", "at", "x"]
    assert "age" in rules.features


def test_the_signature_names_the_types_that_models_see() -> None:
    types: dict[str, Any] = {
        "n": {"type": "number"}, "i": {"type": "integer"},
        "j": {"type": "integer", "nullable": True}, "c": {"type": "category"},
        "b": {"type": "boolean"}, "t": {"type": "timestamp"},
    }  # fmt: skip
    signature = contract(types).signature()
    assert [(c.name, c.type.name) for c in signature.inputs] == [
        ("n", "double"), ("i", "long"), ("j", "double"), ("c", "string"), ("b", "boolean"),
        ("t", "datetime"),
    ]  # fmt: skip
    assert [c.type.name for c in signature.outputs] == ["string"]
    assert [c.type.name for c in regression().signature().outputs] == ["double"]


def test_a_contract_read_back_from_its_content_is_the_same() -> None:
    rules = contract(EVERY_TYPE)
    assert Contract.model_validate(rules.model_dump()) == rules
