"""What watches an environment and tells its owner: alert rules, events, the Logic App, the workbook."""

from __future__ import annotations

import base64
import functools
import json
import re
from typing import Any

import pytest

from ..specs import UNKNOWN
from .bicep import Deployment, Resource, deployment
from .logic_app import Answer, Run
from .metrics import ALERT, METRICS, alert_findings, metric_findings, rule_of
from .projects import Change, Files, Settings, check, endpoint_alerts, infrastructure

TOKEN = "a-token-that-nobody-may-see"  # noqa: S105 - of nothing
WORKFLOW = (
    "https://api.example.com/repos/example/churn-model/actions/workflows/monitoring.yml/dispatches"
)
PIPELINE = "https://dev.example.com/example/churn%20model/_apis/pipelines/7/runs"
BREACH = {
    "eventType": "Microsoft.MachineLearningServices.RunStatusChanged",
    "data": {"RunStatus": "Failed", "RunTags": {"azureml_modelmonitor_threshold_breached": "..."}},
}
HANDSHAKE = {
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "data": {"validationCode": "512d38b6"},
}


@functools.cache
def deployed(change: Change = None, environment: str = "prod", **answers: str) -> Deployment:
    return deployment(infrastructure(change, **answers), f"infrastructure/{environment}.bicepparam")


def of_kind(found: Deployment, kind: str) -> list[Resource]:
    return [each for each in found.everything() if each.kind == kind]


def watching(found: Deployment) -> set[str]:
    return {each.symbol for module in found.deployments() for each in module.resources
            if not each.existing and re.search(r"/(watch|alerts|events|dispatch|workbook)\.bicep$",
                                               module.path)}  # fmt: skip


@functools.cache
def dispatching(url: str = WORKFLOW, **more: Any) -> Change:
    """Settings under which production's events go to a Logic App."""

    def change(settings: Settings) -> None:
        if settings["name"] == "prod":
            settings["monitoring"] |= {"events": "logic_app", "dispatch_url": url, **more}

    return change


# --- Where what is made


def test_production_is_watched_and_other_environments_are_where_their_file_says_so() -> None:
    assert watching(deployed()) == {
        "breachedMonitor", "failedJobs", "owner", "queue", "queues", "sender", "topic", "toQueue",
        "workbook",
    }  # fmt: skip
    assert watching(deployed(environment="staging")) == set()

    def other_way_round(settings: Settings) -> None:
        if "monitoring" in settings:
            settings["monitoring"]["alerts"] = settings["name"] != "prod"

    assert watching(deployed(other_way_round)) == set()
    assert "failedJobs" in watching(deployed(other_way_round, "staging"))


def test_a_file_of_an_older_release_says_nothing_of_it_and_production_is_watched() -> None:
    def older(settings: Settings) -> None:
        settings.pop("monitoring", None)

    assert "failedJobs" in watching(deployed(older))
    assert watching(deployed(older, "dev")) == set()


def test_a_shared_workspace_is_watched_once() -> None:
    found = deployed(environment="shared", workspaces="one-shared")
    assert [each.name for each in of_kind(found, "Microsoft.Insights/actionGroups")] == [
        "ag-churnmodel-shared"
    ]
    assert len(of_kind(found, "Microsoft.EventGrid/systemTopics")) == 1


def test_nothing_but_the_polling_stage_is_asked_for_by_default() -> None:
    assert of_kind(deployed(), "Microsoft.Logic/workflows") == []
    assert of_kind(deployed(), "Microsoft.KeyVault/vaults/secrets") == []
    with_logic_app = deployed(dispatching(alerts=False))
    assert of_kind(with_logic_app, "Microsoft.Logic/workflows")
    assert of_kind(with_logic_app, ALERT) == [], "alerts are another matter"


# --- Who is told of what


def test_the_owner_is_mailed() -> None:
    def owned(settings: Settings) -> None:
        settings["owner"] = {"team": "Pricing", "contact": "pricing@example.com"}

    (group,) = of_kind(deployed(owned), "Microsoft.Insights/actionGroups")
    (receiver,) = group.body["properties"]["emailReceivers"]
    assert receiver["emailAddress"] == "pricing@example.com"

    def nobody(settings: Settings) -> None:
        del settings["owner"]

    (group,) = of_kind(deployed(nobody), "Microsoft.Insights/actionGroups")
    assert group.body["properties"]["emailReceivers"] == []


def test_the_rules_about_the_workspace() -> None:
    rules = [rule_of(each) for each in of_kind(deployed(), ALERT)]
    assert rules == [
        {"about": "mlw-churnmodel-prod", "metric": "Failed Runs", "only": [], "above": 0, "severity": 3},
        {"about": f"egst-{deployed().value('uniqueName')}", "metric": "MatchedEventCount",
         "only": ["breached-monitors"], "above": 0, "severity": 2},
    ]  # fmt: skip
    subscriptions = of_kind(deployed(), "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    assert [each.name for each in subscriptions] == ["breached-monitors"]


def test_the_rules_about_the_endpoint_and_the_deployment_in_use() -> None:
    def quick(settings: Settings) -> None:
        settings["rollout"]["p95_ms"] = 250
        settings["endpoints"]["online"] = "churn-prod"

    found, wrong = endpoint_alerts(infrastructure(quick), "prod", "version-3")
    assert wrong == []
    rules = {each.name: rule_of(each) for each in found.everything()}
    endpoint, in_use = "churn-prod", "version-3"
    assert rules == {
        "churn-prod-errors": {"about": endpoint, "metric": "RequestsPerMinute", "only": ["5xx"],
                              "above": 0, "severity": 1},
        "churn-prod-refusals": {"about": endpoint, "metric": "RequestsPerMinute", "only": ["4xx"],
                                "above": 10, "severity": 3},
        "churn-prod-latency": {"about": endpoint, "metric": "RequestLatency_P95", "only": [],
                               "above": 250, "severity": 2},
        "churn-prod-cpu": {"about": in_use, "metric": "CpuUtilizationPercentage", "only": [],
                           "above": 90, "severity": 3},
        "churn-prod-memory": {"about": in_use, "metric": "CpuMemoryUtilizationPercentage", "only": [],
                              "above": 90, "severity": 2},
    }  # fmt: skip


def test_before_anything_is_deployed_the_endpoint_has_its_rules_and_another_version_no_new_ones() -> (
    None
):
    files = infrastructure()
    found, wrong = endpoint_alerts(files, "prod", "")
    assert wrong == []
    assert sorted(each.name.rpartition("-")[2] for each in found.everything()) == [
        "errors", "latency", "refusals",
    ]  # fmt: skip
    third, fourth = (endpoint_alerts(files, "prod", f"version-{n}")[0] for n in (3, 4))
    assert {each.id for each in third.everything()} == {each.id for each in fourth.everything()}


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("metric: 'RequestLatency_P95'", "metric: 'RequestLatencyP95'", "no metric of"),
        ("timeAggregation: 'Average'", "timeAggregation: 'Total'", "Azure gives no Total of it"),
        ("name: 'statusCodeClass'", "name: 'statusClass'", "has no statusClass"),
        ("type: '${endpointType}/deployments'", "type: endpointType", "is no Microsoft.Machine"),
        ("window: 'PT5M'", "window: 'PT2M'", "Azure does not look every"),
        ("evaluationFrequency: 'PT1M'", "evaluationFrequency: 'PT30M'", "Azure does not look every"),
        ("name: '${endpointName}-${each.name}'", "name: '${endpointName}: ${each.name}'",
         "is not allowed"),
        ("severity: each.severity", "severity: '1'", "severity: '1' is"),
        ("name: actionGroupName", "name: 'ag-${actionGroupName}'", "owner: nobody makes"),
        ("name: workspaceName", "name: '${workspaceName}2'", "workspace: nobody makes"),
        ("actionGroupId: owner.id", "actionGroupId: endpoint.id", "actions: nobody makes"),
        ("  name: '${endpointName}-${each.name}'", "  name: endpointName", "made twice"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_rules_about_the_endpoint_is_found(
    old: str, new: str, finding: str
) -> None:
    path = "infrastructure/endpoint_alerts.bicep"
    files = infrastructure()
    assert old in files[path]
    files[path] = files[path].replace(old, new, 1)
    _, wrong = endpoint_alerts(files, "prod", "version-3")
    assert any(finding in each for each in wrong), wrong


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("alerts", "metricName: 'Failed Runs'", "metricName: 'FailedRuns'", "no metric of"),
        ("alerts", "scopes: [topic.id]", "scopes: [workspace.id]", "is no Microsoft.Machine"),
        ("alerts", "windowSize: 'PT15M'", "windowSize: 'PT1M'", "Azure does not look every"),
        ("alerts", "groupShortName: shortName", "groupShortName: names.workspace", "maxLength"),
        ("events", "source: workspace.id", "from: workspace.id", "topic.properties.from: unknown"),
        ("events", "endpointType: 'StorageQueue'", "endpointType: 'Queue'", "'Queue' is unknown"),
        ("watch", "operatorType: 'StringContains'", "operatorType: 'Contains'", "'Contains' is unknown"),
        ("dispatch", "state: 'Enabled'", "state: 'On'", "'On' is none of"),
        ("dispatch", "loadJsonContent('dispatch.json')", "loadJsonContent('dispatch.jsn')", "dispatch.jsn"),
        ("workbook", "displayName: title\n", "", "displayName: missing"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_watches_is_found(path: str, old: str, new: str, finding: str) -> None:
    path = f"infrastructure/modules/{path}.bicep"
    files = infrastructure(dispatching())
    assert old in files[path]
    files[path] = files[path].replace(old, new, 1)
    found = check(files, "infrastructure/prod.bicepparam")
    assert any(finding in each for each in found), found


def test_nothing_is_wrong_with_the_rules_as_they_are() -> None:
    """So that the mistakes above are the only ones."""
    for environment, workspaces in (("prod", "one-per-environment"), ("shared", "one-shared")):
        files = infrastructure(dispatching(), workspaces=workspaces)
        assert check(files, f"infrastructure/{environment}.bicepparam") == []
        assert endpoint_alerts(files, environment, "version-3")[1] == []
    (failed, _) = of_kind(deployed(), ALERT)
    assert list(alert_findings(failed, {})) == [
        f"failedJobs.scopes: nobody makes {scope_of(failed)}"
    ]


def scope_of(rule: Resource) -> str:
    return str(rule.body["properties"]["scopes"][0])


# --- Events


def test_the_event_is_that_of_a_monitor_that_found_a_breach() -> None:
    found = deployed(dispatching())
    (topic,) = of_kind(found, "Microsoft.EventGrid/systemTopics")
    assert topic.body["properties"]["topicType"] == "Microsoft.MachineLearningServices.Workspaces"
    assert topic.body["properties"]["source"].endswith("/workspaces/mlw-churnmodel-prod")
    subscriptions = of_kind(found, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    assert [each.name for each in subscriptions] == ["breached-monitors", "retraining"]
    for subscription in subscriptions:
        told = subscription.body["properties"]["filter"]
        assert told["includedEventTypes"] == [BREACH["eventType"]]
        (tagged,) = told["advancedFilters"]
        assert tagged == {
            "key": "data.RunTags.azureml_modelmonitor_threshold_breached",
            "operatorType": "StringContains",
            "values": ["has failed due to one or more features violating metric thresholds"],
        }


def test_the_queue_takes_events_of_the_topic_itself_and_keeps_them_for_a_week() -> None:
    found = deployed()
    (subscription,) = of_kind(found, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    delivered = subscription.body["properties"]["deliveryWithResourceIdentity"]
    assert delivered["identity"]["type"] == "SystemAssigned"
    target = delivered["destination"]["properties"]
    (queue,) = of_kind(found, "Microsoft.Storage/storageAccounts/queueServices/queues")
    assert queue.id == f"{target['resourceId']}/queueServices/default/queues/{target['queueName']}"
    assert target["queueMessageTimeToLiveInSeconds"] == 7 * 24 * 60 * 60


# --- The Logic App


def logic_app(url: str = WORKFLOW) -> Resource:
    (found,) = of_kind(deployed(dispatching(url)), "Microsoft.Logic/workflows")
    return found


def start(
    event: dict[str, Any], url: str = WORKFLOW, *, vault: int = 200, platform: int = 204
) -> Run:
    """What the Logic App does with an event, where the vault and the CI/CD answer like that."""
    properties = logic_app(url).body["properties"]
    given = {name: each["value"] for name, each in properties["parameters"].items()}
    given["secret"] = "https://vault.example.com/secrets/ci-cd-dispatch"  # noqa: S105 - an address

    def answer(asked: dict[str, Any]) -> Answer:
        if asked["uri"] == given["secret"]:
            return Answer(vault, {"value": TOKEN} if vault < 400 else {"error": {}})
        return Answer(platform)

    return Run(properties["definition"], given, [event], answer)


def test_the_address_that_events_go_to_is_that_of_the_trigger() -> None:
    found = deployed(dispatching())
    subscription = of_kind(found, "Microsoft.EventGrid/systemTopics/eventSubscriptions")[1]
    target = subscription.body["properties"]["destination"]["properties"]
    app = logic_app()
    (trigger,) = app.body["properties"]["definition"]["triggers"]
    assert target["endpointUrl"] == f"the address of {app.id}/triggers/{trigger}"


def test_event_grid_is_told_that_the_address_is_meant() -> None:
    run = start(HANDSHAKE)
    assert run.answered == (200, {"validationResponse": "512d38b6"})
    assert run.asked == [], "nothing is started"


def test_a_breach_starts_the_workflow_with_the_token_of_the_vault() -> None:
    run = start(BREACH)
    token, started = run.asked
    assert (token["method"], token["queries"]) == ("GET", {"api-version": "7.4"})
    assert token["authentication"] == {
        "type": "ManagedServiceIdentity", "audience": "https://vault.azure.net",
    }  # fmt: skip
    assert (started["method"], started["uri"]) == ("POST", WORKFLOW)
    assert started["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert started["headers"]["User-Agent"], "without one, the API refuses"
    assert started["body"] == {"ref": "main"}
    assert run.answered == (200, None)


def test_a_breach_starts_the_pipeline_with_a_token_as_its_api_takes_it() -> None:
    run = start(BREACH, PIPELINE, platform=200)
    started = run.asked[1]
    assert started["uri"] == f"{PIPELINE}?api-version=7.1"
    kind, token = started["headers"]["Authorization"].split()
    assert (kind, base64.b64decode(token).decode()) == ("Basic", f":{TOKEN}")
    assert started["body"] == {
        "resources": {"repositories": {"self": {"refName": "refs/heads/main"}}}
    }
    assert run.answered == (200, None)


@pytest.mark.parametrize("answers", [{"vault": 403}, {"platform": 401}, {"platform": 503},
                                     {"platform": 203}])  # fmt: skip
def test_what_could_not_be_started_comes_again(answers: dict[str, Any]) -> None:
    """203 is what Azure DevOps answers in place of 401: a page to sign in on."""
    run = start(BREACH, **answers)
    assert run.answered == (503, None)
    assert len(run.asked) == 1 + ("platform" in answers), "Event Grid repeats, the app does not"


def test_the_token_stands_in_no_history_of_runs() -> None:
    run = start(BREACH)
    assert set(run.shown) == {"token", "start"}
    assert TOKEN not in json.dumps(run.shown)
    # An action that shows its inputs would show it: the check can fail.
    definition = json.loads(json.dumps(logic_app().body["properties"]["definition"]))
    scope = definition["actions"]["if_asked_to_confirm"]["else"]["actions"]["dispatch"]
    del scope["actions"]["start"]["runtimeConfiguration"]
    given = {"secret": "s", "url": WORKFLOW, "scheme": "Bearer", "body": {}}
    leaky = Run(definition, given, [BREACH], lambda asked: Answer(200, {"value": TOKEN}))
    assert TOKEN in json.dumps(leaky.shown)


def test_the_logic_app_reads_the_one_secret_and_a_person_s_token_stays() -> None:
    found = deployed(dispatching())
    (secret,) = of_kind(found, "Microsoft.KeyVault/vaults/secrets")
    assert "onlyIfNotExists" in secret.decorators
    assert logic_app().body["properties"]["parameters"]["secret"]["value"] is UNKNOWN
    given = [each for each in of_kind(found, "Microsoft.Authorization/roleAssignments")
             if each.body["properties"]["principalId"] == f"principalId of {logic_app().name}"]  # fmt: skip
    assert [each.scope for each in given] == [secret]


def test_the_workflow_is_given_the_parameters_that_it_declares() -> None:
    properties = logic_app().body["properties"]
    assert properties["parameters"].keys() == properties["definition"]["parameters"].keys()
    used = set(re.findall(r"parameters\('(\w+)'\)", json.dumps(properties["definition"])))
    assert used == properties["parameters"].keys()


# --- The workbook

AGGREGATIONS = {1: "Total", 2: "Minimum", 3: "Maximum", 4: "Average", 7: "Count"}
CONTENTS = {1: None, 9: "KqlParameterItem/1.0", 10: "MetricsItem/2.0"}  # text, parameters, metrics
IDS = re.compile(r"WORKSPACE_ID|EVENT_TOPIC_ID")


def workbook_findings(page: dict[str, Any], kinds: dict[str, str]) -> list[str]:
    """What is wrong with a workbook's page; `kinds` are the types of resources, by their ids."""
    parameters = [each for item in page["items"] if item["type"] == 9
                  for each in item["content"]["parameters"]]  # fmt: skip
    types = {
        each["name"]: re.findall(r"type =~ '([^']+)'", each.get("query", "")) for each in parameters
    }
    names = [item["name"] for item in page["items"]]
    found = [f"{name}: twice" for name in set(names) if names.count(name) > 1]
    if page["version"] != "Notebook/1.0":
        found.append(f"{page['version']} is no version")
    for item in page["items"]:
        content, name = item["content"], item["name"]
        if item["type"] not in CONTENTS or content.get("version") != CONTENTS[item["type"]]:
            found.append(f"{name}: {item['type']} in {content.get('version')} is not known")
            continue
        seen = item.get("conditionalVisibility", {}).get("parameterName")
        if seen and seen not in types:
            found.append(f"{name}: no parameter {seen}")
        if item["type"] != 10:
            continue
        if content["timeContextFromParameter"] not in types:
            found.append(f"{name}: no parameter {content['timeContextFromParameter']}")
        for resource in content["resourceIds"]:
            parameter = re.fullmatch(r"\{(\w+)\}", resource)
            kind = types.get(parameter[1], []) if parameter else [kinds.get(resource, "").lower()]
            if kind != [content["resourceType"]]:
                found.append(f"{name}: {resource} is no {content['resourceType']}")
        for metric in content["metrics"]:
            said, _, read = metric["metric"].rpartition("-")
            known = {each.lower(): metrics for each, metrics in METRICS.items()}
            category = known.get(content["resourceType"], {}).get(read)
            if category and said != f"{content['resourceType']}-{category.category}":
                found.append(f"{name}: {metric['metric']} is in {category.category!r}")
            split = [metric["splitBy"]] if metric.get("splitBy") else []
            how = AGGREGATIONS.get(metric["aggregation"], "other")
            found += [f"{name}: {each}"
                      for each in metric_findings(metric["namespace"], read, how, split)]  # fmt: skip
    return found


def page_of(found: Deployment) -> tuple[dict[str, Any], dict[str, str]]:
    (workbook,) = of_kind(found, "Microsoft.Insights/workbooks")
    kinds = {each.id: each.kind for each in found.everything()}
    return json.loads(workbook.body["properties"]["serializedData"]), kinds


def test_the_workbook_shows_what_there_is_to_see() -> None:
    page, kinds = page_of(deployed())
    assert workbook_findings(page, kinds) == []
    assert IDS.findall(json.dumps(page)) == []
    shown = {metric["metric"].rpartition("-")[2] for item in page["items"] if item["type"] == 10
             for metric in item["content"]["metrics"]}  # fmt: skip
    assert shown == {name for metrics in METRICS.values() for name in metrics}
    hidden = {item["name"] for item in page["items"] if "conditionalVisibility" in item}
    assert {"jobs", "breaches", "failed-jobs"}.isdisjoint(hidden), (
        "without an endpoint, they are there"
    )
    assert {"requests", "latency", "cpu", "memory"} <= hidden


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("onlineendpoints-Traffic-RequestsPerMinute", "onlineendpoints-Traffic-Requests", "no metric"),
        ("workspaces-Run-Failed Runs", "workspaces-Job-Failed Runs", "is in 'Run'"),
        ('"splitBy": "statusCodeClass"', '"splitBy": "status"', "has no status"),
        ('"resourceIds": ["{Deployment}"]', '"resourceIds": ["{Endpoint}"]', "is no"),
        ('"resourceIds": ["EVENT_TOPIC_ID"]', '"resourceIds": ["TOPIC_ID"]', "TOPIC_ID is no"),
        ('"timeContextFromParameter": "TimeRange"', '"timeContextFromParameter": "Time"',
         "no parameter Time"),
        ('"parameterName": "Endpoint"', '"parameterName": "Endpoints"', "no parameter Endpoints"),
        ('"MetricsItem/2.0"', '"MetricsItem/9.0"', "is not known"),
        ('"name": "memory"', '"name": "cpu"', "cpu: twice"),
        ('RequestLatency_P95", "aggregation": 4', 'RequestLatency_P95", "aggregation": 1',
         "Azure gives no Total of it"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_workbook_is_found(old: str, new: str, finding: str) -> None:
    files: Files = infrastructure()
    path = "infrastructure/modules/workbook.json"
    text = re.sub(r",\s+\"aggregation\"", ', "aggregation"', files[path])
    assert old in text, text
    files[path] = text.replace(old, new, 1)
    found = workbook_findings(*page_of(deployment(files, "infrastructure/prod.bicepparam")))
    assert any(finding in each for each in found), found
