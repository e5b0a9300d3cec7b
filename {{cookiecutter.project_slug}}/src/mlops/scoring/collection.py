"""Records what the online deployment is asked and what it answers, with Azure's data collector.

A request hands over its rows and goes on. Two seconds later a thread makes one record of them and of
all that was asked since, and gives it to the collector. To make a record and post it takes about as
long as to answer a request, and Python does one thing at a time: one for each request would double
their latency.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mlops.contract import Column, Contract
from mlops.events import INPUTS, OUTPUTS, rows_in_a_record

if TYPE_CHECKING:
    import pandas as pd

SECONDS_BETWEEN_RECORDS = 2.0
SECONDS_TO_FLUSH = 5.0
MOST_RECORDS_HERE = 30  # that wait to be made: tens of MB
MOST_RECORDS_THERE = 20  # that wait in Azure's collector, which would take 1500 of any size
log = logging.getLogger("azmlinfsrv.collection")

Rows = list[dict[str, Any]]


class Collector(Protocol):
    """Takes records; Azure's data collector, as far as it is needed here."""

    share: float
    """The share of the requests that is recorded."""

    def send(self, inputs: pd.DataFrame, outputs: pd.DataFrame, seconds: int) -> None:
        """Take the rows of some requests and their answers; `seconds` is the Unix time."""

    def waiting(self) -> int:
        """How many records are not sent yet."""

    def flush(self) -> None:
        """Send what waits; nothing is sent after that."""


class _Asked(NamedTuple):
    time: float
    rows: Rows
    answers: Rows


class Collection:
    """Hands rows and answers to a collector, beside the requests.

    What it is given waits in memory. When more is asked than can be recorded, requests are left
    out; none of them waits or fails, whatever happens here.
    """

    def __init__(
        self, contract: Contract, collector: Collector, pause: float = SECONDS_BETWEEN_RECORDS
    ) -> None:
        self._columns, self._id = contract.collected, contract.id
        self._rows_in_a_record = rows_in_a_record(len(self._columns))
        self._collector, self._pause = collector, pause
        self._waiting: deque[_Asked] = deque()
        self._rows_waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._noted: set[str] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, rows: Rows, answers: Rows) -> None:
        """Record a request that was answered: all of it, or by chance nothing of it.

        Args:
            rows: as the client gave them, with the id and the timestamp if it gave these.
            answers: one for each row, as the client gets them.
        """
        # Drawn here, once: the collector would draw anew for the answers.
        if random.random() < self._collector.share:
            self._guarded(lambda: self._add(_Asked(time.time(), rows, answers)))

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(SECONDS_TO_FLUSH)

    def _add(self, asked: _Asked) -> None:
        if len(asked.rows) != len(asked.answers):
            raise ValueError(f"{len(asked.answers)} answers to {len(asked.rows)} rows")
        with self._changed:
            # Whatever its size: large requests are not left out before small ones.
            if self._rows_waiting >= MOST_RECORDS_HERE * self._rows_in_a_record:
                self._note("more is asked than can be recorded; some requests are left out")
                return
            if not self._waiting:
                self._changed.notify()
            self._waiting.append(asked)
            self._rows_waiting += len(asked.rows)

    def _run(self) -> None:
        while asked := self._next():
            self._guarded(functools.partial(self._send, asked))
        self._guarded(self._collector.flush)

    def _next(self) -> _Asked | None:
        """The rows of the next record, a while after they were asked; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            # Not at once: the answer has yet to leave, and would wait for us.
            self._changed.wait_for(lambda: self._closed, self._pause)
            while not self._closed and self._collector.waiting() > MOST_RECORDS_THERE:
                self._changed.wait_for(lambda: self._closed, self._pause)
            if not self._waiting:
                return None
            record = _Asked(self._waiting[0].time, [], [])
            while self._waiting and (room := self._rows_in_a_record - len(record.rows)):
                first = self._waiting.popleft()
                record.rows.extend(first.rows[:room])
                record.answers.extend(first.answers[:room])
                if len(first.rows) > room:
                    rest = _Asked(first.time, first.rows[room:], first.answers[room:])
                    self._waiting.appendleft(rest)
            self._rows_waiting -= len(record.rows)
            return record

    def _send(self, asked: _Asked) -> None:
        ids = {self._id: self._columns[self._id]} if self._id in self._columns else {}
        outputs = table_of(asked.rows, ids)
        for name in asked.answers[0]:
            outputs[name] = [answer[name] for answer in asked.answers]
        self._collector.send(table_of(asked.rows, self._columns), outputs, int(asked.time))

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # whatever it is: it concerns no request
            self._note(f"collecting failed: {type(error).__name__}: {error}", type(error).__name__)

    def _note(self, line: str, kind: str = "") -> None:
        """Say it once: the same will happen with each group."""
        if kind not in self._noted:
            self._noted.add(kind)
            log.error(line)


def open_collection(contract: Contract) -> Collection | None:
    """The collection of this deployment; nothing where it has no data collector.

    Azure sets AZUREML_MDC_CONFIG_PATH for a deployment with a `data_collector`; the collector
    itself knows the older AZUREML_MDC_ENABLED as well.
    """
    said = os.environ.get("AZUREML_MDC_ENABLED", "")
    if not os.environ.get("AZUREML_MDC_CONFIG_PATH") and said.lower() != "true":
        return None
    try:
        collector = _AzureCollector()
        if not collector.share:
            collector.flush()
            return None
        collection = Collection(contract, collector)
    except Exception as error:  # whatever it is: the deployment serves without
        log.error(f"nothing is collected: {type(error).__name__}: {error}")
        return None
    atexit.register(collection.close)
    return collection


def table_of(rows: Rows, columns: dict[str, Column]) -> pd.DataFrame:
    """Rows as they are recorded: these columns, if any row has a value; text for categories."""
    import numpy as np
    import pandas as pd

    given = [n for n in columns if any(row.get(n) is not None for row in rows)]
    numbers = [name for name in given if columns[name].type == "number"]
    # At once: a column at a time takes ten times as long.
    block = np.array([[row.get(name) for name in numbers] for row in rows], "float64")
    table = pd.DataFrame(block, columns=numbers)
    others = {
        name: pd.Series([_plain(row.get(name), columns[name]) for row in rows], dtype="object")
        for name in given
        if name not in numbers
    }
    return table.assign(**others)[given] if others else table


def _plain(value: Any, column: Column) -> Any:
    return str(value) if column.type == "category" and value is not None else value


class _AzureCollector:
    """Azure's own collector: it queues, and a thread posts to a process beside this one."""

    def __init__(self) -> None:
        from azureml.ai.monitoring import Collector, config, init, queue
        from azureml.ai.monitoring.context import BasicCorrelationContext

        init.init("default")
        settings = config.get_config()
        names = [name for name in (INPUTS, OUTPUTS) if settings.collection_enabled(name)]
        percent = min((settings.collection_sample_rate_percentage(n) for n in names), default=0)
        self.share = percent / 100
        # Both records of a request are kept, or none: it is drawn above, not for each of them.
        settings.collection_sample_rate_percentage = lambda _: 100
        self._collectors = {name: Collector(name=name) for name in names}
        self._context, self._queue, self._teardown = (
            BasicCorrelationContext, queue.get_queue, init.teardown,
        )  # fmt: skip

    def send(self, inputs: pd.DataFrame, outputs: pd.DataFrame, seconds: int) -> None:
        context = self._context(timestamp=seconds)
        for name, table in ((INPUTS, inputs), (OUTPUTS, outputs)):
            if name in self._collectors and len(table.columns):
                self._collectors[name].collect(table, context)

    def waiting(self) -> int:
        return int(self._queue().length())

    def flush(self) -> None:
        self._teardown(wait_for_flush=True)
