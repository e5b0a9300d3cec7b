"""The windows of time that a signal looks at, and the profiles of what was collected in them."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlops.contract import Column
from mlops.monitoring.collected import Piece, Reading, naive
from mlops.monitoring.columns import Kind, TableProfile
from mlops.monitoring.definition import DataWindow

if TYPE_CHECKING:
    import pyarrow as pa


class Span(NamedTuple):
    """From `start` to before `end`, both in UTC."""

    start: datetime.datetime
    end: datetime.datetime


def spans_of(window: DataWindow, at: datetime.datetime, count: int) -> tuple[Span, ...]:
    """The last windows before a time, the oldest first; each begins where the one before ends."""
    end = at - window.offset
    return tuple(
        Span(end - (back + 1) * window.size, end - back * window.size)
        for back in reversed(range(count))
    )


def parts_of(
    piece: Piece, spans: Collection[Span], present: Collection[Span]
) -> Sequence[tuple[Span, Piece]]:
    """The rows of a piece in each window; windows may overlap.

    In the `present` ones, only what the deployment in use was given counts: nobody is blamed for
    the answers of the one before.
    """
    import numpy as np

    first, last = piece.times.min(), piece.times.max()
    parts = []
    for span in spans:
        if span in present and not piece.current:
            continue
        start, end = naive(span.start), naive(span.end)
        if start <= first and last < end:
            parts.append((span, piece))
        elif first < end and start <= last:
            places = np.flatnonzero((piece.times >= start) & (piece.times < end))
            if len(places):
                parts.append((span, piece.take(places)))
    return parts


def profile_spans(
    reading: Reading,
    spans: Collection[Span],
    present: Collection[Span],
    columns: dict[str, Column],
    sample: RowSample | None,
    kinds: Mapping[str, Kind] | None = None,
) -> dict[Span, TableProfile]:
    """The profile of what was collected in each window, read once.

    `present` are the windows that are judged (see `parts_of`); `sample` gets the rows of its own.
    """
    profiles = {span: TableProfile(columns, kinds) for span in spans}
    wanted = {*spans, *([sample.span] if sample else [])}
    if not wanted:
        return profiles
    start, end = min(s.start for s in wanted), max(s.end for s in wanted)
    for piece in reading.between(start, end):
        for span, part in parts_of(piece, wanted, present):
            if span in profiles:
                profiles[span].add(part.columns, part.rows)
            if sample and span == sample.span:
                sample.add(part)
    return {span: profile.close() for span, profile in profiles.items()}


class RowSample:
    """A fair sample of the rows of a window, whatever their number."""

    def __init__(self, span: Span, rows: int) -> None:
        import numpy as np

        self.span = span
        self._rows = rows
        self._random = np.random.default_rng(0)
        self._pieces: list[tuple[np.ndarray, pa.Table]] = []  # type: ignore[type-arg]
        self._limit = 1.0

    def add(self, piece: Piece) -> None:
        """Look at the next rows: each gets a random number, and those with the smallest stay."""
        import pyarrow as pa

        numbers = self._random.random(piece.rows)
        (places,) = (numbers < self._limit).nonzero()
        if len(places):
            taken = {name: column.take(places) for name, column in piece.columns.items()}
            self._pieces.append((numbers[places], pa.table(taken)))
        if sum(len(numbers) for numbers, _ in self._pieces) > 4 * self._rows:
            self._drop()

    def tables(self) -> list[pa.Table]:
        """The sample, in the pieces in which its rows came."""
        self._drop()
        return [table for _, table in self._pieces]

    def _drop(self) -> None:
        import numpy as np

        numbers = np.concatenate([n for n, _ in self._pieces]) if self._pieces else np.empty(0)
        if len(numbers) > self._rows:
            self._limit = float(np.partition(numbers, self._rows - 1)[self._rows - 1])
        kept = []
        for numbers, table in self._pieces:
            (places,) = (numbers <= self._limit).nonzero()
            if len(places):
                kept.append((numbers[places], table.take(places)))
        self._pieces = kept
