"""Rows to ask a deployment with: those of a table, those at the contract's limits, broken ones."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops.contract import Column, Contract

if TYPE_CHECKING:
    import pandas as pd

MOST_BOUNDARY_ROWS = 200
WRONG_TYPE: dict[str, Any] = {
    "number": "a text", "integer": 0.5, "category": [], "boolean": "a text",
    "timestamp": "a text",
}  # fmt: skip


class Violation(NamedTuple):
    """A row that breaks the contract in one column, and how."""

    kind: str
    column: str
    row: dict[str, Any]


def request_rows(table: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """The features of a table that obeys the contract, as a request holds them."""
    columns = {
        name: [
            None if null else _plain(value, column)
            for value, null in zip(table[name], table[name].isna())
        ]
        for name, column in contract.features.items()
    }
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def boundary_rows(contract: Contract) -> list[dict[str, Any]]:
    """Rows with the least, the greatest, each named value and, where it may be, null in a column.

    At most 200, the same each time.
    """
    (row,) = contract.examples(1, seed=4)
    found = [
        {**row, name: value}
        for name, column in contract.features.items()
        for value in _limits(column)
    ]
    return _some(found, MOST_BOUNDARY_ROWS)


def violations(contract: Contract, most: int) -> list[Violation]:
    """Each way to break the contract in each column; of more than `most`, some of every kind.

    They are the same each time.
    """
    (row,) = contract.examples(1, seed=5)
    found = []
    for name, column in contract.features.items():
        without = {other: value for other, value in row.items() if other != name}
        found.append(Violation("a missing field", name, without))
        found += [Violation(kind, name, {**row, name: v}) for kind, v in _broken(column)]
    chosen = _some(found, most)
    kinds = {violation.kind for violation in chosen}
    return chosen + list({v.kind: v for v in found if v.kind not in kinds}.values())


def _limits(column: Column) -> Iterator[Any]:
    if column.values is not None:
        yield from column.values
    for limit in (column.minimum, column.maximum):
        if limit is not None:
            yield limit if column.type == "number" else _inside(limit, column)
    if column.nullable:
        yield None


def _inside(limit: float, column: Column) -> int:
    return math.ceil(limit) if limit == column.minimum else math.floor(limit)


def _broken(column: Column) -> Iterator[tuple[str, Any]]:
    yield "a wrong type", WRONG_TYPE[column.type]
    if not column.nullable:
        yield "null", None
    if column.values is not None:
        yield "an unknown value", _unknown(column.values)
    for limit, direction in ((column.minimum, -1), (column.maximum, 1)):
        if limit is not None:
            beyond = limit + direction * max(1.0, abs(limit))
            if math.isfinite(beyond):
                yield "a value out of range", beyond if column.type == "number" else int(beyond)


def _unknown(values: tuple[str | int, ...]) -> str | int:
    numbers = [value for value in values if isinstance(value, int)]
    return max(numbers) + 1 if numbers else "_".join(["unknown", *map(str, values)])


def _plain(value: Any, column: Column) -> Any:
    if column.values is not None:  # A table holds them as text.
        return {str(known): known for known in column.values}.get(_text(value), value)
    if column.type == "integer":
        return int(value)
    if column.type == "timestamp":
        return value if isinstance(value, str) else value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) else str(value)


def _some(items: list[Any], most: int) -> list[Any]:
    """The items, or as many of them in their order, the same ones each time."""
    if len(items) <= most:
        return items
    chosen = random.Random(0).sample(range(len(items)), most)
    return [items[index] for index in sorted(chosen)]
