"""The rows that a retraining reads: how many are new, and those of the last days alone.

The table is read in batches, from wherever it lies: memory does not grow with its rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlops.clock import parse
from mlops.contract import Contract
from mlops.digests import digest_of, digest_path
from mlops.errors import Refused, UsageError
from mlops.files import replacing
from mlops.pipeline_checks import load_pipeline
from mlops.project import Project
from mlops.retraining_policy import NewRows
from mlops.samples import batches_of, kind_of
from mlops.training import data_version
from mlops.workspaces import DataVersion, ModelVersion, Workspace

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TABLES = (".parquet", ".csv")
ROWS, UNTIL = "data_rows", "data_until"
"""The tags of a version that say how many rows it was made of, and the time of the newest one."""
WINDOW = "data_window"
"""The tag of a version that was trained on the rows of the last days: from when to when."""


@dataclass(frozen=True)
class Fresh:
    """The table that a training would read now, in one file or in those of a folder.

    `version` is that of the data asset; None for the pipeline's own table. `name` says which rows
    they are: other rows have another name.
    """

    name: str
    version: DataVersion | None
    is_folder: bool
    tables: Mapping[str, Callable[[], BinaryIO]]

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, piece by piece; of one table at least an empty piece.

        Raises:
            UsageError: one is no table, or has no such column.
        """
        import pyarrow as pa

        for name, opened in self.tables.items():
            with opened() as stream:
                try:
                    yield from batches_of(name, stream, columns)
                except pa.ArrowException as error:
                    raise UsageError(f"{name}: this is not a readable table: {error}") from None

    def columns(self) -> list[str]:
        """The names of the columns of the first table."""
        return list(next(self.batches()).schema.names)


@dataclass(frozen=True)
class Measure:
    """How many labelled rows there are, how many of them are newer than a time, and the newest."""

    rows: int
    newer: int | None
    newest: datetime | None


def fresh_data(project: Project, workspace: Workspace) -> Fresh:
    """What a training in a workspace would read now.

    Raises:
        Refused: what lies there is not what was registered.
        UsageError: the training pipeline reads no table, or there is none.
    """
    pipeline = load_pipeline(project.training_pipeline)
    if "data" not in pipeline.inputs:
        raise UsageError(
            f"{pipeline.document.path}: it has no input `data`: no rows of it can be counted"
        )
    version = data_version(project, workspace, pipeline)
    if version is not None:
        store, location = workspace.data(), version.location
        names = [file.name for file in store.files(location) if file.name.endswith(TABLES)]
        places = {name: location.file(name) for name in names}
        opened = {name: partial(store.open, place) for name, place in places.items()}
        return Fresh(str(version), version, location.is_folder, opened)
    path = Path(pipeline.with_inputs({})["data"])
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = {file.name: partial(_open, file) for file in files if file.name.endswith(TABLES)}
    if not found:
        raise UsageError(f"{path}: there is no table; give Parquet or CSV files")
    return Fresh(digest_path(path), None, path.is_dir(), found)


def measure(fresh: Fresh, contract: Contract, since: datetime | None = None) -> Measure:
    """Count the labelled rows; those after `since`, too, where the contract has a timestamp."""
    time, target = _time(fresh, contract), contract.target
    rows, newer, newest = 0, 0, None
    for batch in fresh.batches([target, *([time] if time else [])]):
        labelled = batch.column(0).to_pandas().notna()
        rows += int(labelled.sum())
        if time is None or not batch.num_rows:
            continue
        times = _times(batch, 1)
        last = times.max()
        if last == last and (newest is None or last > newest):  # not NaT
            newest = last
        if since is not None:
            newer += int((labelled & (times > _naive(since))).sum())
    found = None if newest is None else newest.to_pydatetime().replace(tzinfo=timezone.utc)
    return Measure(rows, newer if time and since is not None else None, found)


def count_new(
    fresh: Fresh, contract: Contract, trained: ModelVersion | None, rows_at_last: int | None
) -> tuple[NewRows, Measure]:
    """The labelled rows that a version was not trained on.

    By the time of each row, where the contract has one: those after the newest that the version was
    trained on. Else by how many there were. `rows_at_last` is how many there were at the last
    retraining.
    """
    tags = trained.tags if trained else {}
    since = parse(tags[UNTIL], f"the tag {UNTIL}") if UNTIL in tags else None
    measured = measure(fresh, contract, since)
    since_last = None if rows_at_last is None else max(measured.rows - rows_at_last, 0)
    if measured.newer is not None:
        count, how = measured.newer, f"after {tags[UNTIL]}, by `{contract.timestamp}`"
    elif trained and _same_rows(fresh, tags):
        count, how = 0, "the data has not changed"
    elif ROWS in tags and WINDOW not in tags:
        count, how = max(measured.rows - int(tags[ROWS]), 0), f"{measured.rows} less {tags[ROWS]}"
    else:
        version = trained.origin if trained else "the model in use"
        return NewRows(None, f"what {version} was trained on is not recorded", since_last), measured
    return NewRows(count, how, since_last), measured


@dataclass(frozen=True)
class Window:
    """The rows of the last days: where they lie now, how many, and from when to when."""

    path: Path
    rows: int
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.rows} rows from {self.start.isoformat()} to {self.end.isoformat()}"


def write_window(fresh: Fresh, contract: Contract, days: float, folder: Path) -> Window:
    """Write the rows whose time lies within so many days before the newest one.

    What other windows have left in the folder is removed.

    Raises:
        Refused: no row has a time.
        UsageError: the rows have no timestamp.
    """
    time = _time(fresh, contract)
    if time is None:
        raise UsageError(
            "`retraining.window_days` goes by the time of each row: it needs a column that "
            "data/contract.yml names under `timestamp`"
        )
    end = measure(fresh, contract).newest
    if end is None:
        raise Refused(f"no row has a `{time}`: there is no window of {days:g} days")
    start = end - timedelta(days=days)
    what = digest_of([fresh.name, time, start.isoformat()])[:16]
    kind = kind_of(next(iter(fresh.tables)))
    place = folder / what if fresh.is_folder else folder
    target = place / f"{'window' if fresh.is_folder else what}{kind}"
    shutil.rmtree(folder, ignore_errors=True)  # an older window, or half of one
    with replacing(target) as file:
        rows = _write(fresh, kind, time, start, file)
    return Window(place if fresh.is_folder else target, rows, start, end)


def _write(fresh: Fresh, kind: str, time: str, start: datetime, file: Path) -> int:
    """Write the rows from `start` on, as they are; how many they are."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    writer: Any = None
    schema: pa.Schema | None = None
    rows = 0
    try:
        for batch in fresh.batches():
            if schema is None:
                schema = batch.schema
                create = parquet.ParquetWriter if kind == ".parquet" else csv.CSVWriter
                writer = create(file, schema)
            if not batch.schema.equals(schema):
                raise UsageError(f"the tables {', '.join(fresh.tables)} have other columns each")
            kept = _times(batch, schema.names.index(time)) >= _naive(start)
            chosen = batch.filter(pa.array(kept.to_numpy(dtype=bool)))
            writer.write_table(pa.Table.from_batches([chosen], schema))
            rows += chosen.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _open(file: Path) -> BinaryIO:
    return file.open("rb")


def _time(fresh: Fresh, contract: Contract) -> str | None:
    """The column with the time of each row, which a table need not have."""
    name = contract.timestamp
    return name if name is not None and name in fresh.columns() else None


def _times(batch: pa.RecordBatch, column: int) -> pd.Series:
    """The times of rows, in UTC without the zone; NaT where there is none."""
    from mlops.validation import instants

    return instants(batch.column(column).to_pandas())


def _naive(time: datetime) -> datetime:
    return time.astimezone(timezone.utc).replace(tzinfo=None)


def _same_rows(fresh: Fresh, tags: dict[str, str]) -> bool:
    """Whether a version was trained on these very rows."""
    if WINDOW in tags:
        return False
    known = tags.get("data_version") if fresh.version else tags.get("data_digest")
    return known == fresh.name
