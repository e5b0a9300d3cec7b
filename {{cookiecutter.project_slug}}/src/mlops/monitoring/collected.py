"""Reading collected data: the rows of a collection in some time, piece by piece.

Azure's data collector writes lines of JSON, each a CloudEvent with rows as its data, in a folder per
hour (`mlops.events`). What cannot be read is counted and left out: it stops nothing.
"""

from __future__ import annotations

import datetime
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from mlops import events
from mlops.contract import Column
from mlops.workspaces import DataStore, Location

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BLOCK = 16 << 20  # bytes that are read at once
MOST_IDS = 1_000_000  # events of an hour that are known by their ids
HOUR = datetime.timedelta(hours=1)
EMPTY = b" \r\n\t"
# PyArrow (25.0) ends the process where the first value is null.
BEGINS_WITH_AN_OBJECT = re.compile(rb"\s*\{")


class Piece(NamedTuple):
    """Some rows: when each was collected (UTC, microseconds), and their columns.

    `current` says that the deployment in use was given them, not one before it.
    """

    times: npt.NDArray[np.datetime64]
    columns: dict[str, pa.Array]
    current: bool = True

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.times)

    def take(self, places: npt.NDArray[np.int64]) -> Piece:
        """The rows at some places."""
        columns = {name: column.take(places) for name, column in self.columns.items()}
        return Piece(self.times[places], columns, self.current)


@dataclass
class Reading:
    """The rows of one collection of an endpoint, and what was wrong with their files."""

    store: DataStore
    endpoint: str
    deployment: str
    """The one in use."""
    collection: str
    columns: dict[str, Column]
    whole: frozenset[str] = frozenset()
    """Columns of integers that are read as such: ids, which may exceed what a float holds."""
    broken: int = 0
    twice: int = 0
    _seen: set[str | None] = field(default_factory=set)

    def between(self, start: datetime.datetime, end: datetime.datetime) -> Iterator[Piece]:
        """The rows that were collected from `start` to before `end`, in the order of the hours.

        An event that was delivered twice counts once. An hour's folder may hold events of the
        neighbouring ones, where a writer's clock was late.
        """
        import numpy as np

        first, last = naive(start), naive(end)
        folder = Location(events.DATASTORE, f"{events.FOLDER}/{self.endpoint}", "uri_folder")
        place = None
        for name in self.store.names(folder):
            deployment, collection, path = (*name.split("/", 2), "", "")[:3]
            hour = events.hour_from(path)
            if collection != self.collection or hour is None:
                continue
            if not start - 2 * HOUR < hour < end + HOUR:
                continue
            if (deployment, hour) != place:
                place, self._seen = (deployment, hour), set()
            current = deployment == self.deployment
            with self.store.open(folder.file(name)) as stream:
                for piece in self._pieces(stream):
                    inside = (piece.times >= first) & (piece.times < last)
                    if inside.any():
                        whole = piece if inside.all() else piece.take(np.flatnonzero(inside))
                        yield whole._replace(current=current)

    def problems(self) -> list[str]:
        """What was wrong, a line each."""
        lines = []
        if self.broken:
            lines.append(f"{self.collection}: {self.broken} lines cannot be read and were left out")
        if self.twice:
            lines.append(
                f"{self.collection}: {self.twice} events were delivered twice and count once"
            )
        return lines

    def _pieces(self, stream: BinaryIO) -> Iterator[Piece]:
        for block in _blocks(stream):
            piece = self._quickly(block)
            if piece is None:
                piece = self._line_by_line(block)
            if piece.rows:
                yield piece

    def _quickly(self, block: bytes) -> Piece | None:
        """A block of lines whose values all have the contract's types; None for any other."""
        import numpy as np
        import pandas as pd
        import pyarrow as pa
        from pyarrow import json as arrow_json

        if not BEGINS_WITH_AN_OBJECT.match(block):
            return None
        row = pa.struct([(name, self._type(name)) for name in self.columns])
        schema = pa.schema([("id", pa.string()), ("time", pa.string()), ("data", pa.list_(row))])
        options = arrow_json.ParseOptions(schema, unexpected_field_behavior="ignore")
        reading = arrow_json.ReadOptions(block_size=len(block) + 1)
        try:
            table = arrow_json.read_json(io.BytesIO(block), reading, options)
        except pa.ArrowException:
            return None
        times = pd.to_datetime(
            table["time"].to_pandas(), utc=True, format="ISO8601", errors="coerce"
        )
        if times.isna().any() or table["data"].null_count:
            return None
        ids = table["id"].to_pylist()
        fresh = self._are_new(ids)
        data = table["data"].combine_chunks()
        if not fresh.all():
            data, times = data.filter(pa.array(fresh)), times[fresh]
        if not len(data):
            return Piece(np.empty(0, "datetime64[us]"), {})
        lengths = data.value_lengths().to_numpy(zero_copy_only=False)
        rows = data.flatten()
        stamps = times.dt.tz_localize(None).to_numpy("datetime64[us]")
        return Piece(
            np.repeat(stamps, lengths),
            {name: rows.field(place) for place, name in enumerate(self.columns)},
        )

    def _line_by_line(self, block: bytes) -> Piece:
        """The same for lines that are half-written, or whose values have other types."""
        import numpy as np

        times: list[Any] = []
        found: list[dict[str, Any]] = []
        for line in block.splitlines():
            if not line.strip(EMPTY):
                continue
            event = _event(line)
            if event is None:
                self.broken += 1
            elif self._is_new(event["id"]):
                times += [event["time"]] * len(event["data"])
                found += event["data"]
        columns: dict[str, pa.Array] = {}
        for name in self.columns:
            columns[name] = _array([row.get(name) for row in found], self._type(name))
        return Piece(np.array(times, "datetime64[us]"), columns)

    def _type(self, name: str) -> pa.DataType:
        import pyarrow as pa

        column = self.columns[name]
        if column.type in ("number", "integer"):
            whole = name in self.whole or column.values is not None
            return pa.int64() if whole else pa.float64()
        return pa.bool_() if column.type == "boolean" else pa.string()

    def _are_new(self, ids: list[str | None]) -> npt.NDArray[np.bool_]:
        import numpy as np

        different = set(ids)
        if len(different) == len(ids) and self._seen.isdisjoint(different):
            if len(self._seen) < MOST_IDS:
                self._seen |= different - {None}
            return np.ones(len(ids), bool)
        return np.array([self._is_new(each) for each in ids], bool)

    def _is_new(self, event: str | None) -> bool:
        if event is None or len(self._seen) >= MOST_IDS:
            return True
        if event in self._seen:
            self.twice += 1
            return False
        self._seen.add(event)
        return True


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; the last one may lack its end."""
    rest = b""
    while block := stream.read(BLOCK):
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        yield rest + block[:end]
        rest = block[end:]
    if rest.strip(EMPTY):
        yield rest


def _event(line: bytes) -> dict[str, Any] | None:
    """An event with its time in UTC and its rows; None for anything else."""
    try:
        event = json.loads(line)
        text = str(event["time"]).replace("Z", "+00:00")
        time = datetime.datetime.fromisoformat(text)
        utc = naive(time.replace(tzinfo=time.tzinfo or datetime.timezone.utc))
        rows, name = event["data"], event.get("id")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return {"id": name if isinstance(name, str) else None, "time": utc, "data": rows}


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The values as Arrow holds them; as texts, where not all have the type."""
    import pyarrow as pa

    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
        return pa.array(texts, pa.string())


def naive(time: datetime.datetime) -> Any:
    """A time in UTC as numpy compares it."""
    import numpy as np

    return np.datetime64(time.astimezone(datetime.timezone.utc).replace(tzinfo=None), "us")
