from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.errors import Refused
from mlops.validation import ContractViolation, TableCheck, validate_table

from .builders import contract, frame


def violations(data: Any, column: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """What breaks the contract in a table with the one column `x`."""
    with pytest.raises(ContractViolation) as caught:
        validate_table(frame(x=data), contract({"x": column}, **settings), target=False)
    return caught.value.violations


def conformed(data: Any, **column: Any) -> pd.Series:
    return validate_table(frame(x=data), contract({"x": column}), target=False)["x"]


@pytest.mark.parametrize(
    ("column", "data", "rule", "rows"),
    [
        ({"type": "number"}, [1.0, np.inf, -np.inf], "must be a finite number", [1, 2]),
        ({"type": "number"}, [1.0, "a", "2"], "must be a finite number", [1, 2]),
        ({"type": "number"}, [True, False], "must be a finite number", [0, 1]),
        ({"type": "number"}, [1.5, True], "must be a finite number", [1]),
        ({"type": "integer"}, [1.0, 1.5], "must be an integer", [1]),
        ({"type": "integer"}, [1, 2**70], "must be an integer", [1]),
        ({"type": "integer"}, [1.0, 1e30], "must be an integer", [1]),
        ({"type": "number"}, [1.0, None], "must not be null", [1]),
        ({"type": "category"}, ["a", None], "must not be null", [1]),
        ({"type": "number", "minimum": 2}, [2, 1.9], "must be at least 2", [1]),
        ({"type": "number", "maximum": 2}, [2, 2.1], "must be at most 2", [1]),
        ({"type": "integer", "minimum": 0}, [0, -1], "must be at least 0", [1]),
        ({"type": "category", "values": ["a", "b"]}, ["a", "c"], "must be one of a, b", [1]),
        ({"type": "integer", "values": [1, 4]}, [1, 3, 4], "must be one of 1, 4", [1]),
        ({"type": "boolean"}, [True, "no"], "must be true or false", [1]),
        ({"type": "boolean"}, [0, 1], "must be true or false", [0, 1]),
        ({"type": "timestamp"}, ["2024-01-31", "31.1.2024"], "must be a timestamp", [1]),
        ({"type": "timestamp"}, ["2024-01-31", "2024-02-30"], "must be a timestamp", [1]),
        ({"type": "timestamp"}, [1, 2], "must be a timestamp", [0, 1]),
    ],
)
def test_a_broken_rule_names_column_rule_count_and_rows(
    column: dict[str, Any], data: list[Any], rule: str, rows: list[int]
) -> None:
    (violation,) = violations(data, column)
    assert (violation["column"], violation["rule"]) == ("x", rule)
    assert violation["count"] == len(rows)
    assert [row["row"] for row in violation["rows"]] == rows


@pytest.mark.parametrize(
    ("data", "rows"), [(["a", True], [1]), (["a", 1.5], [1]), ([1.5, 2.0], [0])]
)
def test_a_category_is_text_or_a_whole_number(data: list[Any], rows: list[int]) -> None:
    (violation,) = violations(data, {"type": "category"})
    assert violation["rule"].startswith("must be a category")
    assert [row["row"] for row in violation["rows"]] == rows


def test_the_message_counts_all_rows_and_shows_the_first_five() -> None:
    with pytest.raises(ContractViolation) as caught:
        validate_table(frame(x=range(-8, 4)), contract({"x": {"type": "integer", "minimum": 0}}),
                       target=False)  # fmt: skip
    first = ", ".join(f"row {i}: {i - 8}" for i in range(5))
    assert f"`x` must be at least 0: 8 row(s), the first: {first}" in str(caught.value)
    assert "row 5" not in str(caught.value)
    assert isinstance(caught.value, Refused)
    assert caught.value.exit_status == 3


def test_rows_are_counted_by_position_whatever_the_index() -> None:
    table = frame(x=[1.0, None]).set_axis([10, 20], axis=0)
    with pytest.raises(ContractViolation, match="row 1"):
        validate_table(table, contract(), target=False)


def test_a_wrong_type_is_not_called_out_of_range_as_well() -> None:
    column = {"type": "number", "minimum": 0, "maximum": 1}
    assert len(violations(["much", 0.5], column)) == 1


def test_all_broken_rules_of_all_columns_come_at_once() -> None:
    rules = contract({"x": {"type": "number", "minimum": 0}, "c": {"type": "category"}})
    table = frame(x=[-1.0, None], c=["a", None], label=["yes", "maybe"])
    with pytest.raises(ContractViolation) as caught:
        validate_table(table, rules)
    assert {(v["column"], v["rule"]) for v in caught.value.violations} == {
        ("x", "must be at least 0"), ("x", "must not be null"), ("c", "must not be null"),
        ("label", "must be one of no, yes"),
    }  # fmt: skip


def test_missing_and_extra_columns_are_named() -> None:
    with pytest.raises(ContractViolation) as caught:
        validate_table(frame(y=[1.0], label=["yes"]), contract())
    assert "`x` the column is missing" in str(caught.value)
    assert "`y` the column is not in the contract" in str(caught.value)


def test_the_target_is_needed_for_training_and_dropped_for_scoring() -> None:
    with pytest.raises(ContractViolation, match="`label` the column is missing"):
        validate_table(frame(x=[1.0]), contract())
    table = validate_table(frame(x=[1.0], label=["yes"]), contract(), target=False)
    assert list(table.columns) == ["x"]


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ContractViolation, match="the table has no rows"):
        validate_table(frame(x=[], label=[]), contract())


WITH_ID = {"key": {"type": "integer"}, "x": {"type": "number"}}


def test_a_repeated_id_is_named() -> None:
    table = frame(key=[1, 2, 1, 1], x=1.0, label="yes")
    with pytest.raises(ContractViolation, match=r"`key` must be unique: 2 row\(s\).*row 2: 1"):
        validate_table(table, contract(WITH_ID, id="key"))


def test_an_id_that_stands_in_two_pieces_is_named_with_its_row() -> None:
    check = TableCheck(contract(WITH_ID, id="key"), target=True)
    for keys in ([1, 2], [3, 4], [5, 2]):
        check.check(frame(key=keys, x=1.0, label="yes"))
    with pytest.raises(ContractViolation) as caught:
        check.close()
    assert caught.value.violations == [
        {"column": "key", "rule": "must be unique", "count": 1, "rows": [{"row": 5, "value": 2}]}
    ]


def test_id_and_timestamp_may_be_left_out() -> None:
    columns = {**WITH_ID, "at": {"type": "timestamp"}}
    rules = contract(columns, id="key", timestamp="at")
    assert list(validate_table(frame(x=[1.0], label=["no"]), rules).columns) == ["x", "label"]


def test_nulls_are_allowed_where_the_contract_says_so() -> None:
    for kind, value in {"number": 1.5, "integer": 2, "category": "a", "boolean": True}.items():
        values = conformed([value, None], type=kind, nullable=True)
        assert values[0] == value
        assert values.isna().tolist() == [False, True]
    assert conformed(["2024-01-01", None], type="timestamp", nullable=True).isna()[1]


@pytest.mark.parametrize("data", [[2, 7], [2, None]])
@pytest.mark.parametrize(
    ("kind", "nullable", "dtype"),
    [
        ("number", False, "float64"), ("number", True, "float64"),
        ("integer", False, "int64"), ("integer", True, "float64"),
        ("category", False, "object"), ("category", True, "object"),
    ],
)  # fmt: skip
def test_types_follow_from_the_contract_not_from_the_rows(
    data: list[Any], kind: str, nullable: bool, dtype: str
) -> None:
    if None in data and not nullable:
        data = [2, 7]
    assert conformed(data, type=kind, nullable=nullable).dtype == dtype


def test_booleans_are_plain_or_objects_where_they_may_be_null() -> None:
    assert conformed([True, False], type="boolean").dtype == "bool"
    assert conformed([True, False], type="boolean", nullable=True).dtype == "object"
    assert conformed(pd.array([True, None], "boolean"), type="boolean", nullable=True)[1] is None


@pytest.mark.parametrize("values", [None, [1, 2]])
def test_whole_numbers_as_categories_become_text(values: list[int] | None) -> None:
    column: dict[str, Any] = {"type": "category", "nullable": True, "values": values}
    assert conformed([1, 2], **column).tolist() == ["1", "2"]
    # pandas reads whole numbers with a null between them as floats.
    assert conformed([1.0, None], **column).tolist() == ["1", None]
    assert conformed(pd.array([1, None], "Int64"), **column).tolist() == ["1", None]


def test_pandas_own_types_are_read_as_well() -> None:
    assert conformed(pd.Categorical(["a", "b"]), type="category").tolist() == ["a", "b"]
    assert conformed(pd.array([1, 2], "Int64"), type="integer").dtype == "int64"
    assert conformed(pd.array(["a"], "string"), type="category").dtype == "object"


def test_timestamps_become_utc_without_a_zone() -> None:
    texts = ["2024-01-01T10:00:00+02:00", "2024-01-01 08:00", "2024-01-01T08:00:00Z"]
    values = conformed(texts, type="timestamp")
    assert values.dtype == "datetime64[ns]"
    assert set(values) == {pd.Timestamp("2024-01-01 08:00")}
    zoned = pd.to_datetime(["2024-01-01 10:00"]).tz_localize("Europe/Rome")
    assert conformed(zoned, type="timestamp")[0] == pd.Timestamp("2024-01-01 09:00")
    assert conformed([datetime.date(2024, 1, 1)], type="timestamp")[0] == pd.Timestamp("2024-01-01")


def test_columns_come_in_the_order_of_the_contract() -> None:
    rules = contract({"b": {"type": "number"}, "a": {"type": "number"}})
    table = validate_table(frame(label=["no"], a=[1], b=[2]), rules)
    assert list(table.columns) == ["b", "a", "label"]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_table_in_pieces_is_checked_like_the_whole(size: int) -> None:
    rules = contract({**WITH_ID, "n": {"type": "integer", "nullable": True}}, id="key")
    generator = np.random.default_rng(0)
    table = frame(
        key=generator.integers(0, 12, 20), x=np.where(generator.random(20) < 0.3, np.inf, 1.0),
        n=np.where(generator.random(20) < 0.5, np.nan, 1.0), label="maybe",
    )  # fmt: skip

    def check(pieces: list[pd.DataFrame]) -> tuple[list[dict[str, Any]], pd.DataFrame]:
        checker = TableCheck(rules, target=True)
        out = [checker.check(piece) for piece in pieces]
        with pytest.raises(ContractViolation) as caught:
            checker.close()
        found = sorted(caught.value.violations, key=lambda v: (v["column"], v["rule"]))
        return found, pd.concat(out)

    pieces = [table.iloc[start : start + size] for start in range(0, 20, size)]
    (whole, whole_table), (parts, parts_table) = check([table]), check(pieces)
    assert parts == whole
    pd.testing.assert_frame_equal(parts_table, whole_table)
