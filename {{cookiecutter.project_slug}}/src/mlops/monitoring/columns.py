"""The columns of a table as a monitor sees them: counts of what is wrong, and the distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlops.contract import Column
from mlops.monitoring.distributions import Categories, Numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

Kind = Literal["numerical", "categorical"]

# Pieces wait until they are so many rows together: to look at many small ones takes longer.
ROWS_TOGETHER = 50_000
# Greater numbers exceed a float when they are squared: they count as infinite ones do.
GREATEST = 1e150
BOOLEANS = {"true": "true", "false": "false"}


def kind_of(column: Column) -> Kind | None:
    """Whether a column holds numbers or categories for a monitor; neither, for a timestamp."""
    if column.type == "timestamp":
        return None
    numbers = column.type in ("number", "integer") and column.values is None
    return "numerical" if numbers else "categorical"


@dataclass
class ColumnProfile:
    """What was in a column: how many rows, nulls, values of a wrong type, and which values.

    The values are in `numbers` or in `categories`, by the kind.
    """

    kind: Kind
    boolean: bool = False
    rows: int = 0
    nulls: int = 0
    errors: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    categories: Categories = field(default_factory=Categories)

    @property
    def count(self) -> int:
        """How many values of the right type there are."""
        return self.numbers.count if self.kind == "numerical" else self.categories.count

    def add(self, column: pa.Array) -> None:
        """Look at n values of any type."""
        self.rows += len(column)
        if self.kind == "numerical":
            numbers, nulls, errors = to_numbers(column)
            self.numbers.add(numbers)
        else:
            counts, nulls, errors = to_categories(column, boolean=self.boolean)
            self.categories.add(counts)
        self.nulls += nulls
        self.errors += errors

    def add_missing(self, rows: int) -> None:
        """Note rows that have no such column."""
        self.rows += rows
        self.nulls += rows

    @property
    def null_rate(self) -> float:
        """The share of rows without a value, between 0 and 1."""
        return self.nulls / self.rows if self.rows else 0.0


class TableProfile:
    """The profiles of some columns of a table that comes in pieces.

    `kinds` say of some columns that they are seen as another kind than the contract has them.
    """

    def __init__(
        self, columns: Mapping[str, Column], kinds: Mapping[str, Kind] | None = None
    ) -> None:
        self.columns = {
            name: ColumnProfile(kind, column.type == "boolean")
            for name, column in columns.items()
            if (kind := (kinds or {}).get(name) or kind_of(column))
        }
        self.rows = 0
        self._pieces: list[dict[str, pa.Array]] = []
        self._waiting = 0

    def add(self, columns: dict[str, pa.Array], rows: int) -> None:
        """Look at the next rows; call `close` after the last."""
        self.rows += rows
        for name, profile in self.columns.items():
            if name not in columns:
                profile.add_missing(rows)
        self._pieces.append(columns)
        self._waiting += rows
        if self._waiting >= ROWS_TOGETHER:
            self.close()

    def close(self) -> TableProfile:
        """Look at what still waits; itself."""
        import pyarrow as pa

        for name, profile in self.columns.items():
            by_type: dict[Any, list[pa.Array]] = {}
            for piece in self._pieces:
                if name in piece:
                    by_type.setdefault(piece[name].type, []).append(piece[name])
            for same in by_type.values():
                profile.add(pa.concat_arrays(same))
        self._pieces, self._waiting = [], 0
        return self


def to_numbers(column: pa.Array) -> tuple[Array, int, int]:
    """The finite numbers in a column, how many values are null, and how many are no numbers.

    A text that says a number is one, as Spark's `cast` has it; one beyond 1e150 is none.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    nulls = column.null_count
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.drop_null().to_numpy(zero_copy_only=False).astype("float64")
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        texts = column.drop_null().to_pandas()
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy("float64")
        numbers[np.isnan(numbers)] = np.inf  # no number, where a null is none either
    else:
        return np.empty(0), nulls, len(column) - nulls
    nulls += int(np.isnan(numbers).sum())
    finite = numbers[np.abs(numbers) <= GREATEST]
    return finite, nulls, len(column) - nulls - len(finite)


def to_categories(column: pa.Array, *, boolean: bool = False) -> tuple[dict[str, int], int, int]:
    """How often each value of a column is there, as text; how many are null, how many no category.

    An integer is a category whether it is written 1 or 1.0; in a boolean column only true and false
    are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    simple = (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    )  # fmt: skip
    if not simple:
        return {}, column.null_count, len(column) - column.null_count
    counts: dict[str, int] = {}
    nulls = errors = 0
    for value, count in ((e["values"], e["counts"]) for e in pc.value_counts(column).to_pylist()):
        if value is None or value != value:
            nulls += count
            continue
        text = _text(value)
        if boolean and text.lower() not in BOOLEANS:
            errors += count
            continue
        text = text.lower() if boolean else text
        counts[text] = counts.get(text, 0) + count
    return counts, nulls, errors


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
