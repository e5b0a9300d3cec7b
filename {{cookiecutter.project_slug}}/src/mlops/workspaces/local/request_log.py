"""The requests that a local endpoint got: its log, counted."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator

from mlops import events
from mlops.workspaces import DataStore, Location, Requests

HOUR = datetime.timedelta(hours=1)


def count_requests(
    store: DataStore, endpoint: str, start: datetime.datetime, end: datetime.datetime
) -> Requests:
    """The requests of an endpoint from `start` to before `end`, all deployments together."""
    import numpy as np

    statuses, milliseconds = [], []
    for status, took in _lines(store, endpoint, start, end):
        statuses.append(status)
        milliseconds.append(took)
    if not statuses:
        return Requests()
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).round(2).tolist()
    return Requests(
        count=len(statuses), refused=sum(400 <= status < 500 for status in statuses),
        errors=sum(status >= 500 for status in statuses), p50=p50, p95=p95, p99=p99,
    )  # fmt: skip


def _lines(
    store: DataStore, endpoint: str, start: datetime.datetime, end: datetime.datetime
) -> Iterator[tuple[int, float]]:
    folder = Location(events.DATASTORE, f"{events.FOLDER}/{endpoint}", "uri_folder")
    for name in store.names(folder):
        _, _, path = name.partition(f"/{events.REQUESTS}/")
        hour = events.hour_from(path)
        if hour is None or not start - HOUR < hour < end:
            continue
        with store.open(folder.file(name)) as stream:
            for line in stream:
                try:
                    entry = json.loads(line)
                    time = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
                    found = int(entry["status"]), float(entry["milliseconds"])
                except (ValueError, KeyError, TypeError):
                    continue  # a line that a kill has cut off
                if start <= time < end:
                    yield found
