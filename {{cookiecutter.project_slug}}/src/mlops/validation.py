"""The contract's check of tables, with pandera."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlops.contract import Column, Contract
from mlops.errors import Refused

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 5


class ContractViolation(Refused):
    """A table breaks the contract. `violations` has one entry per column and rule."""

    def __init__(self, violations: list[dict[str, Any]]) -> None:
        self.violations = violations
        lines = [_show(violation) for violation in violations]
        super().__init__("the data breaks its contract:\n  " + "\n  ".join(lines))


class TableCheck:
    """Checks a table piece by piece, so that it may be larger than memory.

    Call `check(piece)` for each piece in order, then `close()`, which raises with all
    violations of all pieces. With `labels`, the table need only have the id and the target.
    """

    def __init__(self, contract: Contract, *, target: bool, labels: bool = False) -> None:
        self.contract = contract
        self.rows = 0
        self._expected = contract.labels if labels else contract.expected(target=target)
        self._violations: dict[tuple[str, str], dict[str, Any]] = {}
        self._ids: set[Any] = set()
        self._need_target = target

    def check(self, table: pd.DataFrame) -> pd.DataFrame:
        """Note this piece's violations; the piece with the contract's columns, order and types.

        The piece that comes back is only worth using when `close()` does not raise.
        """
        import pandas as pd

        table = table.set_axis(pd.RangeIndex(self.rows, self.rows + len(table)), axis=0)
        self.rows += len(table)
        for name in self._expected:
            if name not in table.columns:
                self._note(name, "the column is missing", len(table))
        for name in table.columns:
            if name not in self.contract.columns:
                self._note(str(name), "the column is not in the contract", len(table))
        present = {
            name: column for name, column in self.contract.columns.items() if name in table.columns
        }
        self._check_values(table[list(present)], present)
        if self._need_target:
            # Twice the same row would be trained on and evaluated on. To score it twice is no
            # mistake, and remembering all ids would cost memory that grows with the rows.
            self._check_ids(table)
        wanted = {
            n: c for n, c in present.items() if n != self.contract.target or self._need_target
        }
        return pd.DataFrame({name: conform(table[name], column) for name, column in wanted.items()})

    @property
    def passed(self) -> bool:
        """Whether all pieces so far obey the contract."""
        return not self._violations

    def close(self) -> None:
        """Raise ContractViolation if any piece broke the contract or there was no row at all."""
        if not self.rows:
            self._note("(table)", "the table has no rows", 0)
        if self._violations:
            raise ContractViolation(list(self._violations.values()))

    def _check_values(self, table: pd.DataFrame, columns: dict[str, Column]) -> None:
        import pandera.errors
        import pandera.pandas as pa

        schema = pa.DataFrameSchema(
            {
                name: pa.Column(nullable=True, checks=_checks(column))
                for name, column in columns.items()
            }
        )
        try:
            schema.validate(table, lazy=True)
        except pandera.errors.SchemaErrors as errors:
            # pandera 0.35 types this as possibly None; a lazy validation always fills it.
            cases = errors.failure_cases
            for (name, rule), group in cases.groupby(["column", "check"], sort=False):
                # pandera gives them in the order of their values.
                group = group.sort_values("index")
                rows = [
                    (int(i), v)
                    for i, v in zip(group["index"], group["failure_case"])
                    if i is not None
                ]
                self._note(str(name), str(rule), len(group), rows)

    def _check_ids(self, table: pd.DataFrame) -> None:
        name = self.contract.id
        if name is None or name not in table.columns:
            return
        ids = table[name]
        repeated = ids[ids.duplicated() | ids.isin(self._ids)]
        self._ids.update(ids)
        if len(repeated):
            self._note(name, "must be unique", len(repeated), list(repeated.items()))

    def _note(self, column: str, rule: str, count: int, rows: list[Any] | None = None) -> None:
        entry = self._violations.setdefault(
            (column, rule), {"column": column, "rule": rule, "count": 0, "rows": []}
        )
        entry["count"] += count
        room = ROWS_SHOWN - len(entry["rows"])
        entry["rows"] += [{"row": int(i), "value": _plain(v)} for i, v in (rows or [])[:room]]


def validate_table(table: pd.DataFrame, contract: Contract, *, target: bool = True) -> pd.DataFrame:
    """The table with the contract's columns (those it has), order and types.

    Args:
        table: rows as they came; the id and the timestamp may be left out.
        contract: what they must obey.
        target: whether the target must be there; without it a target column is dropped.

    Raises:
        ContractViolation: naming each column and rule, how many rows break it, and the first.
    """
    check = TableCheck(contract, target=target)
    table = check.check(table)
    check.close()
    return table


def instants(series: pd.Series) -> pd.Series:
    """Timestamps in ISO 8601 as instants in UTC without the zone; NaT where a value is none."""
    import pandas as pd

    valid = pd.to_datetime(series, utc=True, errors="coerce", format="ISO8601").notna()
    # With that format, pandas 2.3 reads a text without a zone in the zone of the text before it.
    read: pd.Series = pd.to_datetime(series.where(valid), utc=True, errors="coerce", format="mixed")
    return read.dt.tz_localize(None).astype("datetime64[ns]")


def _checks(column: Column) -> list[Any]:
    """The rules of one column as pandera checks; each gives one boolean per row."""
    import pandera.pandas as pa

    def check(rule: str, passes: Any) -> Any:
        return pa.Check(passes, name=rule, error=rule, ignore_na=False)

    checks = [check(f"must be {_A[column.type]}", lambda s: _fits(s, column) | s.isna())]
    if not column.nullable:
        checks.append(check("must not be null", lambda s: s.notna()))
    # A value of the wrong type has its own violation: it does not break the range as well.
    if (low := column.minimum) is not None:
        checks.append(check(f"must be at least {low:g}", lambda s: ~(_numbers(s) < low)))
    if (high := column.maximum) is not None:
        checks.append(check(f"must be at most {high:g}", lambda s: ~(_numbers(s) > high)))
    if (values := column.values) is not None:
        rule = f"must be one of {', '.join(map(str, values))}"
        checks.append(check(rule, lambda s: s.isin(values) | s.isna()))
    return checks


_A = {
    "number": "a finite number",
    "integer": "an integer",
    "category": "a category (text or a whole number)",
    "boolean": "true or false",
    "timestamp": "a timestamp",
}


def _fits(series: pd.Series, column: Column) -> pd.Series:
    """Which values have the column's type; nulls may come out either way."""
    import numpy as np
    import pandas as pd
    from pandas.api import types

    kind = column.type
    if kind in ("number", "integer"):
        if types.is_bool_dtype(series.dtype):
            return pd.Series(False, index=series.index)
        if types.is_numeric_dtype(series.dtype):
            numbers = series.astype("float64")
        else:
            numbers = _numbers(series)
        fits = pd.Series(np.isfinite(numbers), index=series.index)
        return fits & _are_integers(numbers) if kind == "integer" else fits
    if kind == "boolean" and types.is_bool_dtype(series.dtype):
        return pd.Series(True, index=series.index)
    if kind == "timestamp" and not types.is_numeric_dtype(series.dtype):
        return instants(series).notna()
    if kind == "category" and types.is_any_real_numeric_dtype(series.dtype):
        # pandas holds integers with nulls between them as floats.
        return _are_integers(series.astype("float64"))
    allowed: tuple[type, ...] = {
        "category": (str, int, np.integer),
        "boolean": (bool, np.bool_),
    }.get(kind, ())
    return series.map(
        lambda value: (
            isinstance(value, allowed) and (kind == "boolean" or not isinstance(value, bool))
        )
    ).astype(bool)


def _are_integers(numbers: pd.Series) -> pd.Series:
    """Which floats are integers that 64 bits hold."""
    return (numbers % 1 == 0) & (numbers.abs() <= 2.0**63)


def _numbers(series: pd.Series) -> pd.Series:
    """The real numbers of a column as floats; text, booleans and nulls are NaN."""
    import numbers

    from pandas.api import types

    if types.is_numeric_dtype(series.dtype):
        return series.astype("float64")
    return series.map(
        lambda v: (
            float(v) if isinstance(v, numbers.Real) and not isinstance(v, bool) else float("nan")
        )
    ).astype("float64")


def conform(series: pd.Series, column: Column) -> pd.Series:
    """One column in the type that models see; a column that breaks the contract stays as it is.

    The type follows from the contract alone, not from whether these rows have a null.
    """
    import pandas as pd
    from pandas.api import types

    try:
        if column.type == "number" or (column.type == "integer" and column.nullable):
            return series.astype("float64")
        if column.type == "integer":
            return series.astype("int64")
        if column.type == "boolean":
            if not column.nullable:
                return series.astype("bool")
            return series.astype("object").where(series.notna(), None)
        if column.type == "timestamp":
            return instants(series)
        if types.is_float_dtype(series.dtype):
            series = series.astype("Int64")
        values = [None if null else str(v) for v, null in zip(series, series.isna())]
        return pd.Series(values, index=series.index, dtype="object")
    except (TypeError, ValueError, OverflowError):
        return series


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _show(violation: dict[str, Any]) -> str:
    text = f"`{violation['column']}` {violation['rule']}"
    if violation["rows"]:
        rows = ", ".join(f"row {row['row']}: {row['value']!r}" for row in violation["rows"])
        text += f": {violation['count']} row(s), the first: {rows}"
    return text
