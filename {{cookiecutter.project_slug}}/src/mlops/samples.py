"""A fair sample of tables that are larger than memory.

Each row gets a random number, the same in every run, and those with the smallest stay: every row
is as likely to be in the sample as any other, however the table is sorted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from mlops.errors import UsageError
from mlops.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0
ROWS_PER_BATCH = 50_000
BUFFER = 1 << 20  # bytes per column of a Parquet file
CSV_BLOCK = 4 << 20


def kind_of(name: str) -> str:
    """`.parquet` or `.csv`, by a table's name.

    Raises:
        UsageError: it is neither.
    """
    kind = PurePosixPath(name).suffix
    if kind not in (".parquet", ".csv"):
        raise UsageError(f"{name}: only .parquet and .csv files can be read")
    return kind


def sample_tables(
    tables: Iterable[tuple[str, BinaryIO]], rows: int, target: Path, progress: Callable[[int], None]
) -> tuple[int, int]:
    """Write a sample of the rows of all tables, in their order, and as text where they are text.

    Args:
        tables: the name of each, and a stream that can seek; all are Parquet, or all CSV.
        rows: how many rows the sample has, if there are so many.
        target: the file to write, of the same kind.
        progress: takes the number of rows that were looked at so far.

    Returns:
        The rows in the sample, and in the tables.

    Raises:
        UsageError: one is no table, or not like the first.
    """
    import pyarrow as pa

    sample = _Sample(rows)
    for name, stream in tables:
        with stream:
            try:
                for batch in batches_of(name, stream):
                    sample.add(name, batch)
                    progress(sample.seen)
            except pa.ArrowException as error:
                raise UsageError(f"{name}: this is not a readable table: {error}") from None
    table = sample.table()
    with replacing(target) as partial:
        if kind_of(target.name) == ".parquet":
            from pyarrow import parquet

            parquet.write_table(table, partial)
        else:
            from pyarrow import csv

            csv.write_csv(table, partial)
    return table.num_rows, sample.seen


def rows_in(name: str, stream: BinaryIO) -> int | None:
    """The rows of a Parquet file, from its last few bytes; None for what is no Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    with stream:
        if not name.endswith(".parquet"):
            return None
        try:
            return int(parquet.ParquetFile(stream).metadata.num_rows)
        except pa.ArrowException as error:
            raise UsageError(f"{name}: this is not a readable table: {error}") from None


class _Sample:
    def __init__(self, rows: int) -> None:
        import numpy as np

        self.seen = 0
        self._rows = rows
        self._random = np.random.default_rng(SEED)
        self._schema: pa.Schema | None = None
        self._pieces: list[tuple[Any, Any, pa.Table]] = []  # numbers, places, rows
        self._kept, self._limit = 0, 1.0

    def add(self, name: str, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""
        import numpy as np
        import pyarrow as pa

        if self._schema is None:
            self._schema = batch.schema
        elif not self._schema.equals(batch.schema):
            raise UsageError(f"{name}: its columns are not those of the tables before it")
        numbers = self._random.random(batch.num_rows)
        chosen = np.flatnonzero(numbers < self._limit)
        if len(chosen):
            rows = pa.Table.from_batches([batch]).take(chosen)
            self._pieces.append((numbers[chosen], self.seen + chosen, rows))
            self._kept += len(chosen)
        self.seen += batch.num_rows
        if self._kept > 2 * self._rows:
            self._drop()

    def table(self) -> pa.Table:
        """The sample, in the order in which the rows came."""
        if self._schema is None:
            raise UsageError("there is no table")
        if not self._pieces:
            return self._schema.empty_table()
        self._drop()
        _, places, rows = self._pieces[0]
        return rows.take(places.argsort())

    def _drop(self) -> None:
        """Keep the rows with the smallest numbers."""
        import numpy as np
        import pyarrow as pa

        numbers = np.concatenate([piece[0] for piece in self._pieces])
        places = np.concatenate([piece[1] for piece in self._pieces])
        rows = pa.concat_tables(piece[2] for piece in self._pieces).unify_dictionaries()
        if len(numbers) > self._rows:
            smallest = np.argpartition(numbers, self._rows - 1)[: self._rows]
            numbers, places, rows = numbers[smallest], places[smallest], rows.take(smallest)
            self._limit = float(numbers.max())
        self._pieces, self._kept = [(numbers, places, rows.combine_chunks())], len(numbers)


def batches_of(
    name: str, stream: BinaryIO, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a table, piece by piece; at least one piece, which may be empty.

    Those of a CSV file are texts, as they stand there. Only these columns, if some are named.

    Raises:
        UsageError: its name ends in neither .parquet nor .csv, or it has no such column.
        pyarrow.ArrowException: it is no such table.
    """
    import pyarrow as pa

    if kind_of(name) == ".parquet":
        from pyarrow import parquet

        # Otherwise whole row groups are read ahead.
        file = parquet.ParquetFile(stream, buffer_size=BUFFER, pre_buffer=False)
        schema = file.schema_arrow
        if columns is not None:
            _require_columns(name, columns, schema.names)
            schema = pa.schema([schema.field(column) for column in columns])
        yield pa.RecordBatch.from_pylist([], schema=schema)
        # One column at a time, so that no two threads read the stream here and there.
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=columns, use_threads=False):
            yield batch if columns is None else batch.select(columns)
        return
    from csv import reader as rows_of

    from pyarrow import csv

    head = io.TextIOWrapper(io.BytesIO(stream.read(BUFFER)), "utf-8-sig", "replace", newline="")
    names = next(rows_of(head), [])
    _require_columns(name, columns or [], names)
    stream.seek(0)
    # As it stands there: what NA or 007 mean, the contract says.
    as_text = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
        include_columns=columns,
    )  # fmt: skip
    blocks = csv.ReadOptions(block_size=CSV_BLOCK)
    batches = csv.open_csv(stream, read_options=blocks, convert_options=as_text)
    yield pa.RecordBatch.from_pylist([], schema=batches.schema)
    yield from batches


def _require_columns(name: str, columns: list[str], there: list[str]) -> None:
    if missing := [column for column in columns if column not in there]:
        raise UsageError(f"{name}: there is no column {', '.join(missing)}")
