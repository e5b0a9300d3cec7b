from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.contract import Contract
from mlops.scoring import requests
from mlops.scoring.requests import BadRequest, RequestReader
from mlops.validation import ContractViolation, validate_table

from .builders import body, contract

RULES = contract(
    {
        "key": {"type": "integer", "minimum": 1},
        "at": {"type": "timestamp"},
        "n": {"type": "number", "minimum": 0, "maximum": 10},
        "größe, in cm": {"type": "integer"},
        "class": {"type": "category", "values": ["a", "b"]},
        "maybe": {"type": "number", "nullable": True},
    },
    id="key",
    timestamp="at",
)
ROW: dict[str, Any] = {"n": 1, "größe, in cm": 2, "class": "a", "maybe": None}


def refusal(request: bytes, rules: Contract = RULES) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        RequestReader(rules).read(request)
    return caught.value


def test_a_request_becomes_a_table_in_the_order_and_types_of_the_contract() -> None:
    shuffled = dict(reversed(ROW.items()))
    table = RequestReader(RULES).read(body(ROW, {**shuffled, "maybe": 2.5}))
    assert table.to_dict("list") == {
        "n": [1.0, 1.0], "größe, in cm": [2, 2], "class": ["a", "a"],
        "maybe": [pytest.approx(np.nan, nan_ok=True), 2.5],
    }  # fmt: skip
    assert [str(kind) for kind in table.dtypes] == ["float64", "int64", "object", "float64"]


def test_id_and_timestamp_may_be_given_and_are_no_features() -> None:
    given_ = {**ROW, "key": 7, "at": "2024-01-01T00:00:00Z"}
    assert list(RequestReader(RULES).read(body(given_)).columns) == list(ROW)


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"n": "much"}, "n", "valid number, not 'much'"),
        ({"n": "1"}, "n", "valid number, not '1'"),
        ({"n": True}, "n", "valid number"),
        ({"n": None}, "n", "valid number, not None"),
        ({"n": -0.1}, "n", "greater than or equal to 0"),
        ({"n": 10.1}, "n", "less than or equal to 10"),
        ({"größe, in cm": 1.5}, "größe, in cm", "valid integer"),
        ({"größe, in cm": 2**63}, "größe, in cm", "less than or equal"),
        ({"class": "c"}, "class", "'a' or 'b', not 'c'"),
        ({"unknown": 1}, "unknown", "is not a feature of the model"),
        ({"label": "yes"}, "label", "is not a feature of the model"),
        ({"key": 0}, "key", "greater than or equal to 1"),
        ({"at": "yesterday"}, "at", "must be a timestamp in ISO 8601, not 'yesterday'"),
        ({"at": 5}, "at", "valid string"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(
    change: dict[str, Any], field: str, problem: str
) -> None:
    error = refusal(body(ROW, {**ROW, **change}))
    assert error.status == 400
    (detail,) = error.answer["error"]["details"]
    assert (detail["row"], detail["field"]) == (1, field)
    assert f"row 1: `{field}`" in error.answer["error"]["message"]
    assert problem in error.answer["error"]["message"]


@pytest.mark.parametrize("name", list(ROW))
def test_a_missing_feature_is_named_also_where_it_may_be_null(name: str) -> None:
    error = refusal(body({key: value for key, value in ROW.items() if key != name}))
    assert error.answer["error"]["message"] == f"row 0: `{name}` is missing"


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(literal: str) -> None:
    row = json.dumps(ROW).replace("null", literal)  # of `maybe`, which has no range
    assert refusal(f'{{"input_data": [{row}]}}'.encode()).status == 400


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "`input_data` is missing"),
        (b'{"input_data": []}', "at least 1"),
        (b'{"input_data": {}}', "valid array"),
        (b'{"input_data": [1]}', "an object"),
        (b'{"data": []}', "unknown key `data`"),
    ],
)
def test_a_request_of_another_shape_is_told_what_to_write(request_: bytes, problem: str) -> None:
    error = refusal(request_)
    assert error.status == 400
    assert problem in str(error)


def test_many_problems_are_counted_and_the_first_shown() -> None:
    error = refusal(body(*[{**ROW, "n": -1}] * 13))
    assert len(error.answer["error"]["details"]) == requests.ERRORS_SHOWN == 10
    assert str(error).endswith("; and 3 more")


def test_every_bad_timestamp_is_named() -> None:
    rules = contract({"when": {"type": "timestamp"}})
    error = refusal(body({"when": "now?"}, {"when": "2024-01-01"}, {"when": "9999-01-01"}), rules)
    assert [detail["row"] for detail in error.answer["error"]["details"]] == [0, 2]


def test_a_request_with_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAXIMUM_ROWS", 3)
    reader = RequestReader(RULES)
    assert len(reader.read(body(*[ROW] * 3))) == 3
    with pytest.raises(BadRequest, match="at most 3"):
        reader.read(body(*[ROW] * 4))


def test_a_request_that_is_too_large_is_refused_before_it_is_read() -> None:
    error = refusal(b" " * (requests.MAXIMUM_BYTES + 1))
    assert error.status == 413
    assert "10 MiB" in str(error)


def test_names_that_are_no_identifiers_are_features_like_others() -> None:
    names = ["a b", "class", "__class__", "größe", "1st", "x.y", "Привет", "model_config", ""]
    rules = contract({name: {"type": "number"} for name in names})
    table = RequestReader(rules).read(body(dict.fromkeys(names, 1.5)))
    assert list(table.columns) == names
    assert refusal(body({}), rules).answer["error"]["details"][0]["field"] == "a b"


def test_true_is_no_number_among_values() -> None:
    rules = contract({"x": {"type": "integer", "values": [0, 1]}})
    assert RequestReader(rules).read(body({"x": 1}))["x"].tolist() == [1]
    assert "must not be true or false, not True" in str(refusal(body({"x": True}), rules))


# --- The same verdict as the check of tables -----------------------------------------------------

KINDS = st.sampled_from(["number", "integer", "category", "boolean", "timestamp"])


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    column: dict[str, Any] = {"type": draw(KINDS), "nullable": draw(st.booleans())}
    if column["type"] in ("number", "integer"):
        low, high = sorted(draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9))))
        column |= draw(st.sampled_from([{}, {"minimum": low}, {"minimum": low, "maximum": high}]))
    if column["type"] in ("category", "integer") and "minimum" not in column:
        allowed = [["a", "é"], [1, 2], [0, "a"]] if column["type"] == "category" else [[0, 1], [5]]
        column["values"] = draw(st.sampled_from([None, *allowed]))
    return column


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-12, 12),
    # Whole floats are left out: JSON's 3.0 is no integer to a request, but in a table, where a
    # column of integers with a null between them is a column of floats, it is one.
    st.floats(-12, 12).filter(lambda value: value % 1 != 0),
    st.sampled_from(["a", "é", "", "1", "nan", "2024-02-29T10:00:00+02:00", "2024-01-31", "2023-02-29"]),
)  # fmt: skip
OF_TYPE = {
    "number": st.integers(-5, 5) | st.floats(-5, 5).filter(lambda value: value % 1 != 0),
    "integer": st.integers(-5, 5),
    "category": st.sampled_from(["a", "é", 1, 2]),
    "boolean": st.booleans(),
    "timestamp": st.sampled_from(["2024-02-29T10:00:00+02:00", "2024-01-31", "2024-03-01 10:00"]),
}


@st.composite
def contracts_and_rows(draw: st.DrawFn) -> tuple[Contract, list[dict[str, Any]]]:
    drawn = draw(st.lists(columns(), min_size=1, max_size=3))
    rules = contract({f"c{i}": column for i, column in enumerate(drawn)})

    def row() -> dict[str, Any]:
        wild = draw(st.integers(0, 5)) == 0
        return {
            name: draw(VALUES if wild else OF_TYPE[column.type])
            for name, column in rules.features.items()
        }

    return rules, [row() for _ in range(draw(st.integers(1, 4)))]


def as_column(values: list[Any]) -> pd.Series:
    """The column that a Parquet file of these values gives: booleans and text do not mix."""
    return pd.Series(values, dtype="object").infer_objects()


@settings(max_examples=250, deadline=None)
@given(contracts_and_rows())
def test_requests_and_tables_get_the_same_verdict_and_become_the_same_table(
    case: tuple[Contract, list[dict[str, Any]]],
) -> None:
    rules, rows = case
    table: pd.DataFrame | None = None
    read: pd.DataFrame | None = None
    wanted, found = set(), set()
    try:
        raw = pd.DataFrame(
            {name: as_column([row[name] for row in rows]) for name in rules.features}
        )
        table = validate_table(raw, rules, target=False)
    except ContractViolation as error:
        wanted = {violation["column"] for violation in error.violations}
    try:
        read = RequestReader(rules).read(body(*rows))
    except BadRequest as error:
        found = {detail["field"] for detail in error.answer["error"]["details"]}
    if table is not None and read is not None:
        pd.testing.assert_frame_equal(read, table)
    else:
        assert read is None
        assert table is None
        # A request's timestamps are read only when all else is right.
        assert found <= wanted
