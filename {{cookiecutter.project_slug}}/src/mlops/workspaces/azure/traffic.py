"""The requests that an online endpoint got, as Azure Monitor counts them.

It keeps a value for each minute, for 93 days. Source: Azure Monitor, "Supported metrics for
Microsoft.MachineLearningServices/workspaces/onlineEndpoints", and its REST API, "Metrics - List".
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from mlops.workspaces import Requests
from mlops.workspaces.azure.arm import Arm

VERSION = "2023-10-01"  # of the api
COUNT = "RequestsPerMinute"
LATENCIES = {"p50": "RequestLatency_P50", "p95": "RequestLatency_P95", "p99": "RequestLatency_P99"}
# Azure Monitor has the average of what a query leaves together, not the sum: so it is asked for each
# combination, of which 2xx, 4xx and 5xx are the classes.
CLASS, DEPLOYMENT = "statusCodeClass", "deployment"
SPLIT = (DEPLOYMENT, CLASS, "statusCode", "modelStatusCode")
MOST_SERIES = 1000
DAY = datetime.timedelta(days=1)
AT_ONCE = 4

Day = tuple[datetime.datetime, datetime.datetime]


class Point(NamedTuple):
    """A metric in one minute, of the requests that the dimensions name (in small letters)."""

    metric: str
    dimensions: dict[str, str]
    minute: str
    value: float

    @property
    def place(self) -> tuple[str, str]:
        """The deployment, and the minute."""
        return self.dimensions.get(DEPLOYMENT, ""), self.minute


def requests_of(
    arm: Arm, endpoint: str, start: datetime.datetime, end: datetime.datetime
) -> Requests:
    """The requests to an endpoint, named by its resource id, from `start` to before `end`.

    Azure Monitor knows the percentiles of each minute, not those of a longer time: a latency is the
    mean of the minutes' ones, in which a minute counts as often as it had requests.

    Raises:
        HttpResponseError: Azure said no.
    """
    days = list(_days(start, end))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        counted = list(pool.map(lambda day: _ask(arm, endpoint, day, [COUNT], SPLIT), days))
        metrics = list(LATENCIES.values())
        timed = list(pool.map(lambda day: _ask(arm, endpoint, day, metrics, SPLIT[:1]), days))
    requests: dict[tuple[str, str], float] = defaultdict(float)
    classes: dict[str, float] = defaultdict(float)
    for point in (point for day in counted for point in day):
        requests[point.place] += point.value
        classes[point.dimensions.get(CLASS.lower(), "")[:1]] += point.value
    return Requests(
        count=round(sum(requests.values())),
        refused=round(classes["4"]),
        errors=round(classes["5"]),
        **{
            name: _mean([p for day in timed for p in day if p.metric == metric], requests)
            for name, metric in LATENCIES.items()
        },
    )


def _days(start: datetime.datetime, end: datetime.datetime) -> Iterator[Day]:
    while start < end:
        yield start, min(start + DAY, end)
        start += DAY


def _ask(
    arm: Arm, endpoint: str, day: Day, metrics: list[str], split: tuple[str, ...]
) -> list[Point]:
    """The values of a day, of the minutes that have one."""
    first, last = (time.astimezone(datetime.timezone.utc) for time in day)
    answer = arm.get(
        f"{endpoint}/providers/Microsoft.Insights/metrics",
        **{
            "api-version": VERSION, "metricnames": ",".join(metrics), "aggregation": "Average",
            "interval": "PT1M", "top": str(MOST_SERIES),
            "timespan": f"{first:%Y-%m-%dT%H:%M:%SZ}/{last:%Y-%m-%dT%H:%M:%SZ}",
            "$filter": " and ".join(f"{dimension} eq '*'" for dimension in split),
        },
    )  # fmt: skip
    return [point for metric in answer.get("value", []) for point in _points(metric)]


def _points(metric: dict[str, Any]) -> Iterator[Point]:
    for series in metric.get("timeseries", []):
        dimensions = {
            said["name"]["value"].lower(): str(said["value"])
            for said in series.get("metadatavalues", [])
        }
        for one in series.get("data", []):
            if one.get("average") is not None:
                yield Point(
                    metric["name"]["value"], dimensions, one["timeStamp"], float(one["average"])
                )


def _mean(points: list[Point], requests: dict[tuple[str, str], float]) -> float | None:
    """The mean of latencies, weighted by the requests of each deployment and minute."""
    weights = [requests.get(point.place, 0.0) for point in points]
    total = sum(weights)
    if not total:
        return None
    return sum(point.value * weight for point, weight in zip(points, weights)) / total
