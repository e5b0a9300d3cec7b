"""Azure Monitor's metrics of online endpoints: a value for each minute, split by dimensions.

What it knows is that of "Supported metrics for Microsoft.MachineLearningServices/workspaces/
onlineEndpoints": names, dimensions, the average as the only aggregation, minutes as the grain.
"""

from __future__ import annotations

import datetime
import re
import statistics
import threading
from collections import defaultdict
from typing import Any, NamedTuple

from tests.azure.messages import Answer, Refusal, Request

METRICS = "/providers/microsoft.insights/metrics"
OF_COUNT = ("deployment", "statusCode", "statusCodeClass", "modelStatusCode")
DIMENSIONS = {"RequestsPerMinute": OF_COUNT, "RequestLatency": ("deployment",),
              **{f"RequestLatency_P{n}": ("deployment",) for n in (50, 90, 95, 99)}}  # fmt: skip
DAYS_KEPT = 93
KNOWN = {"api-version", "metricnames", "aggregation", "interval", "top", "timespan", "$filter"}


class Asked(NamedTuple):
    """A request that an endpoint answered."""

    time: datetime.datetime
    endpoint: str
    deployment: str
    status: int
    milliseconds: float

    @property
    def dimensions(self) -> dict[str, str]:
        status = str(self.status)
        return {"deployment": self.deployment, "statusCode": status,
                "statusCodeClass": f"{status[0]}xx", "modelStatusCode": status}  # fmt: skip


class Metrics:
    """What the endpoints of a subscription were asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    def note(
        self, endpoint: str, deployment: str, status: int, milliseconds: float,
        time: datetime.datetime | None = None,
    ) -> None:  # fmt: skip
        """Count a request to an endpoint, named by its id, now or at another time."""
        time = time or datetime.datetime.now(datetime.timezone.utc)
        with self._lock:
            self.asked.append(Asked(time, endpoint.lower(), deployment, status, milliseconds))

    def answer(self, request: Request) -> Answer:
        """The values of the metrics that are asked for, in the minutes that have one."""
        query = request.query
        names, split = query.get("metricnames", "").split(","), _split(query)
        _check(query, names, split)
        start, end = (_time(text) for text in query["timespan"].split("/"))
        endpoint = request.path.lower().removesuffix(METRICS)
        with self._lock:
            asked = [a for a in self.asked if a.endpoint == endpoint and start <= a.time < end]
        most = int(query.get("top", 10))
        value = [_metric(name, asked, split, most) for name in names]
        return Answer(200, {"timespan": query["timespan"], "interval": "PT1M", "value": value})


def _check(query: dict[str, str], names: list[str], split: tuple[str, ...]) -> None:
    wrong = [f"query parameter {name}" for name in sorted(set(query) - KNOWN)]
    wrong += [f"metric {name}" for name in names if name not in DIMENSIONS]
    for name in names:
        wrong += [f"dimension {d} of {name}" for d in split if d not in DIMENSIONS.get(name, split)]
    if query.get("interval") != "PT1M" or query.get("aggregation") != "Average":
        wrong.append(f"interval {query.get('interval')}, aggregation {query.get('aggregation')}")
    if wrong:
        raise Refusal(400, "BadRequest", f"Failed to find: {'; '.join(wrong)}")
    start, end = (_time(text) for text in query["timespan"].split("/"))
    oldest = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=DAYS_KEPT)
    if end <= start or start < oldest:
        raise Refusal(400, "BadRequest", "The start time cannot be older than 93 days.")


def _split(query: dict[str, str]) -> tuple[str, ...]:
    given = query.get("$filter", "")
    parts = [re.fullmatch(r"(\w+) eq '\*'", part) for part in given.split(" and ") if part]
    if not all(parts):
        raise Refusal(400, "BadRequest", f"The filter {given} cannot be read.")
    return tuple(part[1] for part in parts if part)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _metric(name: str, asked: list[Asked], split: tuple[str, ...], most: int) -> dict[str, Any]:
    # What arrives each minute is a value for each combination of all dimensions.
    arrived: dict[tuple[str, ...], list[Asked]] = defaultdict(list)
    for one in asked:
        minute = one.time.strftime("%Y-%m-%dT%H:%M:00Z")
        arrived[(minute, *(one.dimensions[d] for d in DIMENSIONS[name]))].append(one)
    series: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (minute, *values), ones in arrived.items():
        known = dict(zip(DIMENSIONS[name], values))
        series[tuple(known[d] for d in split)][minute].append(_value(name, ones))
    return {
        "id": name, "type": "Microsoft.Insights/metrics", "errorCode": "Success",
        "name": {"value": name, "localizedValue": name},
        "unit": "Count" if name == "RequestsPerMinute" else "Milliseconds",
        "timeseries": [
            {"metadatavalues": [
                {"name": {"value": d.lower(), "localizedValue": d.lower()}, "value": v}
                for d, v in zip(split, values)
             ],
             "data": [{"timeStamp": "2000-01-01T00:00:00Z"}, *(
                {"timeStamp": minute, "average": statistics.mean(found)}
                for minute, found in sorted(minutes.items())
             )]}
            for values, minutes in list(series.items())[:most]
        ],
    }  # fmt: skip


def _value(name: str, asked: list[Asked]) -> float:
    if name == "RequestsPerMinute":
        return len(asked)
    times = sorted(one.milliseconds for one in asked)
    share = int(name.partition("_P")[2] or 50) / 100
    return times[min(len(times) - 1, int(share * len(times)))]
