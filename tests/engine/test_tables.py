from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.errors import UsageError
from mlops.tables import iterate_table, read_table
from mlops.validation import ContractViolation, validate_table

from .builders import contract, frame, write

RULES = contract(
    {
        "key": {"type": "integer"},
        "n": {"type": "number", "nullable": True},
        "i": {"type": "integer", "nullable": True},
        "c": {"type": "category", "values": ["NA", "é, b"]},
        "k": {"type": "category", "values": [1, 2], "nullable": True},
        "b": {"type": "boolean", "nullable": True},
        "t": {"type": "timestamp", "nullable": True},
    },
    id="key",
)


def table() -> pd.DataFrame:
    return frame(
        key=range(6), n=[0.1, 1e-300, np.nan, -5, 1 / 3, 2], i=[1, None, 3, 4, 5, 6],
        c=["NA", "é, b"] * 3, k=pd.array([1, 2, None, 1, 2, 1], "Int64"), b=[True, False, None, True, False, True],
        t=pd.to_datetime(["2024-01-01 10:00:00.123456", None, *["2024-02-01"] * 4], format="mixed"),
        label=["yes", "no"] * 3,
    )  # fmt: skip


def test_the_same_table_as_csv_and_as_parquet_reads_the_same(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "t.parquet")
    table().to_csv(tmp_path / "t.csv", index=False)
    from_parquet, from_csv = (
        validate_table(read_table(tmp_path / f"t.{kind}", RULES), RULES)
        for kind in ("parquet", "csv")
    )
    pd.testing.assert_frame_equal(from_csv, from_parquet)
    pd.testing.assert_frame_equal(from_csv, validate_table(table(), RULES))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_pieces_come_in_order_and_hold_at_most_so_many_rows(
    tmp_path: Path, kind: str, rows: int
) -> None:
    path = tmp_path / f"t.{kind}"
    table().to_parquet(path) if kind == "parquet" else table().to_csv(path, index=False)
    pieces = list(iterate_table(path, RULES, rows))
    assert all(0 < len(piece) <= rows for piece in pieces)
    assert [key for piece in pieces for key in piece["key"]] == list(range(6))


@pytest.mark.parametrize(
    ("column", "text", "rule"),
    [
        ({"type": "number"}, "much", "must be a finite number"),
        ({"type": "integer"}, "1.5", "must be an integer"),
        ({"type": "integer"}, "99999999999999999999", "must be an integer"),
        ({"type": "boolean"}, "perhaps", "must be true or false"),
        ({"type": "number"}, "inf", "must be a finite number"),
    ],
)
def test_text_that_is_not_of_its_type_stays_for_the_contract_to_name(
    tmp_path: Path, column: dict[str, Any], text: str, rule: str
) -> None:
    rules = contract({"x": column})
    valid = "true" if column["type"] == "boolean" else "1"
    path = write(tmp_path / "t.csv", f"x,label\n{valid},yes\n{text},no\n")
    with pytest.raises(ContractViolation, match=rf"`x` {rule}: 1 row\(s\), the first: row 1"):
        validate_table(read_table(path, rules), rules)


def test_text_that_looks_like_a_number_stays_text_in_a_category(tmp_path: Path) -> None:
    rules = contract({"x": {"type": "category"}})
    path = write(tmp_path / "t.csv", "x,label\n007,yes\n1.50,no\n")
    assert validate_table(read_table(path, rules), rules)["x"].tolist() == ["007", "1.50"]


def test_an_empty_field_is_null(tmp_path: Path) -> None:
    rules = contract({"x": {"type": "number"}, "c": {"type": "category"}})
    path = write(tmp_path / "t.csv", "x,c,label\n,,yes\n1,a,no\n")
    with pytest.raises(ContractViolation) as caught:
        validate_table(read_table(path, rules), rules)
    assert [(v["column"], v["rule"]) for v in caught.value.violations] == [
        ("x", "must not be null"), ("c", "must not be null"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_without_rows_still_has_its_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    empty = frame(x=np.array([], "float64"), label=np.array([], "object"))
    empty.to_parquet(path) if name.endswith("parquet") else empty.to_csv(path, index=False)
    assert list(read_table(path, contract()).columns) == ["x", "label"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t.parquet", b"PAR1 is not enough", "not a readable table"),
        ("t.csv", b"", "not a readable table"),
        ("t.csv", b"x,label\n1\n", "not a readable table"),
        ("t.csv", "x,label\n1,é\n".encode("latin-1"), "not a readable table"),
        ("t.csv", b"x,label,x\n1,yes,2\n", "twice: x"),
        ("t.xlsx", b"", "only .parquet and .csv"),
    ],
)
def test_an_unreadable_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=problem) as caught:
        read_table(path, contract())
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: there is no such file"):
        read_table(tmp_path / "none.csv", contract())
