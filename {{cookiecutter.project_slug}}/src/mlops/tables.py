"""Tables on disk: Parquet and CSV files, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract
from mlops.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

ROWS_PER_BATCH = 100_000


def read_table(path: Path, contract: Contract) -> pd.DataFrame:
    """The whole table of a Parquet or CSV file.

    Raises:
        UsageError: there is no such file, or it is not a table.
    """
    import pandas as pd

    return pd.concat(iterate_table(path, contract), ignore_index=True)


def check_table(path: Path, contract: Contract, *, labels: bool = False) -> int:
    """Check a table of any size that is to be trained on, or of labels; the number of its rows.

    Raises:
        UsageError: there is no such file, or it is not a table.
        ContractViolation: with everything in it that breaks the contract.
    """
    from mlops.validation import TableCheck

    check = TableCheck(contract, target=True, labels=labels)
    for piece in iterate_table(path, contract):
        check.check(piece)
    check.close()
    return check.rows


def iterate_table(
    path: Path, contract: Contract, rows: int = ROWS_PER_BATCH
) -> Iterator[pd.DataFrame]:
    """The table of a Parquet or CSV file, `rows` rows at a time, in order; at least one frame.

    A CSV file has no types of its own: its columns are read as the contract says, and a value
    that cannot be read so stays text, for the contract's check to name.

    Raises:
        UsageError: there is no such file, or it is not a table.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give a Parquet or CSV file")
    with path.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"  # in a job, an input may have lost its ending
    if not is_parquet and path.suffix == ".parquet":
        raise UsageError(f"{path}: this is not a readable table: no Parquet file")
    if not is_parquet and path.suffix not in ("", ".csv"):
        raise UsageError(f"{path}: only .parquet and .csv files can be read")
    try:
        if is_parquet:
            file = parquet.ParquetFile(path)
            schema = file.schema_arrow
            batches: Any = file.iter_batches(batch_size=rows)
        else:
            as_text = csv.ConvertOptions(
                column_types=dict.fromkeys(contract.columns, pa.string()), strings_can_be_null=True
            )
            # A category may be called NA, such as North America.
            named = {v for column in contract.columns.values() for v in column.values or ()}
            as_text.null_values = [text for text in as_text.null_values if text not in named]
            batches = csv.open_csv(path, convert_options=as_text)
            schema = batches.schema
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise UsageError(f"{path}: these columns stand there twice: {', '.join(twice)}")
        empty = True
        for batch in batches:
            for start in range(0, batch.num_rows, rows):
                empty = False
                table = batch.slice(start, rows).to_pandas()
                yield table if is_parquet else _from_text(table, contract)
        if empty:
            yield schema.empty_table().to_pandas()
    except pa.ArrowException as error:
        raise UsageError(f"{path}: this is not a readable table: {error}") from None


def _from_text(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    import pandas as pd

    for name, column in contract.columns.items():
        if name not in table.columns:
            continue
        text = table[name]
        if column.type in ("number", "integer"):
            numbers = pd.to_numeric(text, errors="coerce")
            unread = numbers.isna() & text.notna()
            table[name] = numbers.astype("object").where(~unread, text) if unread.any() else numbers
        elif column.type == "boolean":
            table[name] = _translated(
                text, {"true": True, "True": True, "false": False, "False": False}
            )
        elif column.values is not None:
            table[name] = _translated(text, {str(value): value for value in column.values})
    return table


def _translated(texts: pd.Series, values: dict[str, Any]) -> pd.Series:
    """The values that stand for texts; a text that stands for none, and a null, stay."""
    return texts.map(lambda text: values.get(text, text), na_action="ignore")
