"""What Azure Monitor measures, and what it takes for an alert rule: written by hand from its pages.

Of each resource type: its metrics with the category that the portal lists them in, how they may be
aggregated, and what they may be split by. The metrics of a workspace may be aggregated in any way;
of an endpoint's, Azure gives averages alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from ..specs import UNKNOWN
from .bicep import Resource

WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
ENDPOINT = f"{WORKSPACE}/onlineEndpoints"
DEPLOYMENT = f"{ENDPOINT}/deployments"
TOPIC = "Microsoft.EventGrid/systemTopics"
ALERT = "Microsoft.Insights/metricAlerts"


class Metric(NamedTuple):
    """A metric of a resource type."""

    category: str
    aggregations: tuple[str, ...]
    dimensions: tuple[str, ...] = ()


OF_A_RUN = ("Scenario", "RunType", "PublishedPipelineId", "ComputeType", "PipelineStepType",
            "ExperimentName")  # fmt: skip
ANY_WAY = ("Total", "Average", "Minimum", "Maximum", "Count")
RANGE = ("Minimum", "Maximum", "Average")
METRICS: dict[str, dict[str, Metric]] = {
    WORKSPACE: {
        "Completed Runs": Metric("Run", ANY_WAY, OF_A_RUN),
        "Failed Runs": Metric("Run", ANY_WAY, OF_A_RUN),
    },
    ENDPOINT: {
        "RequestsPerMinute": Metric(
            "Traffic", ("Average",),
            ("deployment", "statusCode", "statusCodeClass", "modelStatusCode"),
        ),
        "RequestLatency_P50": Metric("Traffic", ("Average",), ("deployment",)),
        "RequestLatency_P95": Metric("Traffic", ("Average",), ("deployment",)),
        "RequestLatency_P99": Metric("Traffic", ("Average",), ("deployment",)),
        "DataCollectionEventsPerMinute": Metric("Traffic", RANGE, ("deployment", "type")),
        "DataCollectionErrorsPerMinute": Metric("Traffic", RANGE, ("deployment", "reason", "type")),
    },
    DEPLOYMENT: {
        "CpuUtilizationPercentage": Metric("Resource", RANGE, ("instanceId",)),
        "CpuMemoryUtilizationPercentage": Metric("Resource", RANGE, ("instanceId",)),
    },
    TOPIC: {"MatchedEventCount": Metric("", ("Total",), ("EventSubscriptionName",))},
}  # fmt: skip

FREQUENCIES = ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H")
WINDOWS = (*FREQUENCIES, "PT6H", "PT12H", "P1D")


def metric_findings(kind: str, name: str, aggregation: str, split: list[str]) -> Iterator[str]:
    """What is wrong with reading a metric of a resource type; kinds differ by their letters' case."""
    metrics = next((METRICS[each] for each in METRICS if each.lower() == kind.lower()), None)
    if metrics is None or name not in metrics:
        yield f"{name}: no metric of {kind}"
        return
    metric = metrics[name]
    if aggregation not in metric.aggregations:
        yield f"{name}: Azure gives no {aggregation} of it"
    yield from (f"{name}: has no {each}" for each in split if each not in metric.dimensions)


def alert_findings(resource: Resource, kinds: dict[str, str]) -> Iterator[str]:
    """What is wrong with an alert rule; `kinds` are the types of all resources, by their ids."""
    properties = resource.body["properties"]
    (scope,) = properties["scopes"]
    if re.search(r"[*#&+:<>?@%{}\\/]", str(resource.name)):
        yield f"{resource.symbol}.name: {resource.name} is not allowed"
    if scope not in kinds:
        yield f"{resource.symbol}.scopes: nobody makes {scope}"
        return
    for action in properties["actions"]:
        if kinds.get(action["actionGroupId"]) != "Microsoft.Insights/actionGroups":
            yield f"{resource.symbol}.actions: nobody makes {action['actionGroupId']}"
    for criterion in properties["criteria"]["allOf"]:
        if criterion["metricNamespace"] != kinds[scope]:
            yield f"{resource.symbol}: {criterion['metricNamespace']} is no {kinds[scope]}"
        split = [each["name"] for each in criterion.get("dimensions", [])]
        for finding in metric_findings(
            kinds[scope], criterion["metricName"], criterion["timeAggregation"], split
        ):
            yield f"{resource.symbol}: {finding}"
    frequency, window = properties["evaluationFrequency"], properties["windowSize"]
    if frequency not in FREQUENCIES or window not in WINDOWS or _long(window) < _long(frequency):
        yield f"{resource.symbol}: Azure does not look every {frequency} at {window}"


def _long(duration: str) -> timedelta:
    number = int(re.sub(r"\D", "", duration))
    unit = {"M": "minutes", "H": "hours", "D": "days"}[duration[-1]]
    return timedelta(**{unit: number})


def rule_of(resource: Resource) -> dict[str, Any]:
    """What an alert rule says, without what all rules have in common."""
    properties = resource.body["properties"]
    (criterion,) = properties["criteria"]["allOf"]
    (scope,) = properties["scopes"]
    return {
        "about": scope.rpartition("/")[2] if scope is not UNKNOWN else scope,
        "metric": criterion["metricName"],
        "only": [value for each in criterion.get("dimensions", []) for value in each["values"]],
        "above": criterion["threshold"],
        "severity": properties["severity"],
    }
