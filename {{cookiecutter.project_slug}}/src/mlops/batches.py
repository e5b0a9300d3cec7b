"""A table for batch scoring: checked and cut into pieces, and the answers put together again."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

from mlops.contract import Contract
from mlops.errors import MlopsError
from mlops.tables import iterate_table
from mlops.validation import TableCheck


def split_table(source: Path, contract: Contract, pieces: Path) -> int:
    """Check a table and write it to `pieces`, a Parquet file for each 100,000 rows; the rows.

    The whole table is checked, so that nothing is scored when a row breaks the contract. Memory
    does not grow with the rows.

    Raises:
        ContractViolation: the table breaks the contract.
    """
    pieces.mkdir(parents=True)
    check = TableCheck(contract, target=False)
    for number, table in enumerate(iterate_table(source, contract)):
        checked = check.check(table)
        if check.passed:
            checked.to_parquet(pieces / f"{number:06d}.parquet", index=False)
    check.close()
    return check.rows


def join_answers(folder: Path, output: Path, rows: int) -> None:
    """Write the answers that lie in `folder`, a Parquet file for each piece, in their order.

    Args:
        folder: with the files, at any depth.
        output: a .parquet or .csv file.
        rows: how many answers there must be.

    Raises:
        MlopsError: there are more or fewer.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    writer: Any = None
    schema: Any = None
    found = 0
    try:
        for piece in sorted(folder.rglob("*.parquet"), key=lambda path: path.name):
            for batch in parquet.ParquetFile(piece).iter_batches():
                table = pa.Table.from_batches([batch])
                if writer is None:
                    kind = parquet.ParquetWriter if output.suffix == ".parquet" else csv.CSVWriter
                    schema = table.schema
                    writer = kind(output, schema)
                writer.write_table(table.cast(schema))
                found += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    if found != rows:
        raise MlopsError(f"{rows} rows were sent and {found} answers came back; nothing is written")


def replace_file(result: Path, target: Path) -> None:
    """Replace `target` in one step, also where it lies on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        shutil.copyfile(result, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
