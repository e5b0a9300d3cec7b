"""The checker of requests passes what Azure's examples send, and finds the mistakes made in it.

Not found is a mistake where the public specification is free-form: in `properties.jobs.*` and
`settings` of a pipeline job, in a component's `componentSpec`, and in every dictionary's keys.
No mistake is made there, so these places are in no number below.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from .. import specs
from ..specs import UNKNOWN, body_findings, request_findings, response_findings, versions_of

PROVIDER = "Microsoft.MachineLearningServices"
WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-churn"
    f"/providers/{PROVIDER}/workspaces/mlw-churn"
)
PREVIEWS = "2023-06-01-preview 2023-08-01-preview 2024-01-01-preview 2024-04-01-preview"
# The examples that break their own specification, with what is wrong: the versions, the file and
# the beginning of what is found.
BROKEN = {
    f"{version}/{file}": finding
    for versions, file, finding in [
        # A parameter that the path does not have.
        (
            f"2022-02-01-preview 2022-05-01 2022-10-01 2022-10-01-preview 2023-02-01-preview "
            f"2023-04-01 2023-04-01-preview 2023-10-01 {PREVIEWS}",
            "PrivateEndpointConnection/createOrUpdate.json",
            "?monitor: unknown query parameter",
        ),
        (
            "2023-02-01-preview 2023-04-01-preview 2023-06-01-preview",
            "Workspace/FeaturesetVersion/listMaterializationJobs.json",
            "?$skiptoken: unknown query parameter",
        ),
        (
            "2023-02-01-preview",
            "Workspace/FeaturesetVersion/listFeatures.json",
            "?$skiptoken: unknown query parameter",
        ),
        # The name of a value as older versions spelt it.
        (
            "2022-05-01 2022-10-01",
            "DataContainer/createOrUpdate.json",
            "properties.dataType: 'UriFile' is none of uri_file",
        ),
        (
            "2022-10-01-preview 2023-02-01-preview 2023-04-01 2023-04-01-preview 2023-10-01 "
            f"{PREVIEWS}",
            "Workspace/DataContainer/createOrUpdate.json",
            "properties.dataType: 'UriFile' is none of uri_file",
        ),
        # A value that only jobs have.
        (PREVIEWS, "Registry/ModelVersion/package.json", "body.modelConfiguration.mode: 'ReadOn"),
        (PREVIEWS, "Workspace/ModelVersion/package.json", "body.modelConfiguration.mode: 'ReadOn"),
        # A property that the REST specification has, but not the types of Bicep.
        (
            "2022-10-01-preview 2023-02-01-preview 2023-04-01 2023-04-01-preview 2023-08-01-preview "
            "2023-10-01 2024-01-01-preview 2024-04-01-preview",
            "Registries/createOrUpdate-UserCreated.json",
            "properties.regionDetails[0].storageAccountDetails[0].userCreatedStorageAccount: unkn",
        ),
        # A property that is read-only in this version.
        (
            "2022-10-01-preview",
            "Compute/createOrUpdate/ComputeInstanceWithSchedules.json",
            "properties.properties.schedules: read-only",
        ),
        # A request of another version, in shape or in name.
        (
            "2022-10-01-preview",
            "Job/AutoMLJob/createOrUpdate.json",
            "properties.taskDetails.dataSettings: missing",
        ),
        *(
            (
                "2022-10-01-preview",
                f"LabelingJob/{name}.json",
                f"{PROVIDER}@2021-03-01-preview is not published",
            )
            for name in ("createOrUpdate", "exportLabels", "pause", "resume")
        ),
    ]
    for version in versions.split()
}


class Example(NamedTuple):
    """A request among the specification's examples."""

    name: str
    method: str
    url: str
    body: Any
    operation: specs.Operation
    answers: dict[str, Any]


def example(file: str, method: str, operation: specs.Operation) -> Example:
    """The request of a file; a parameter that the operation does not know stands in the query."""
    told = specs.file_of(file)
    places = {each["name"]: each["in"] for each in operation.parameters()}
    path, body, query = operation.path, None, {}
    for name, value in told["parameters"].items():
        place = places.get(name, "query")
        if place == "path":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        elif place == "body":
            body = value
        else:
            query[name] = json.dumps(value) if isinstance(value, bool) else value
    name = file.removeprefix(specs.FOLDER).split("/", 1)[1].replace("/examples/", "/")
    url = f"{path}?{urlencode(query)}"
    return Example(name, method.upper(), url, body, operation, told["responses"])


@functools.cache
def examples() -> list[Example]:
    """Every example of a PUT, a PATCH or a POST, in every version of the REST specifications."""
    return [
        example(normpath(join(dirname(operation.file), each["$ref"])), method, operation)
        for version in specs.rest_files()
        for (_, method), operation in specs.operations(version).items()
        if method in ("put", "patch", "post")
        for each in operation.definition.get("x-ms-examples", {}).values()
    ]


def test_the_examples_of_the_specification_pass_but_for_those_that_break_it() -> None:
    found = {each.name: request_findings(each.method, each.url, each.body) for each in examples()}
    wrong = {name: findings for name, findings in found.items() if findings}
    assert len(found) > 1000
    assert {name: findings for name, findings in wrong.items() if name not in BROKEN} == {}
    assert {
        name: wrong.get(name)
        for name, start in BROKEN.items()
        if not any(each.startswith(start) for each in wrong.get(name, []))
    } == {}


# --- Mistakes, as the REST specification tells them: read here on its own, without the checker


class Mistake(NamedTuple):
    """A change of a valid body that makes it invalid."""

    kind: str
    path: tuple[str | int, ...]  # of an object
    change: dict[str, Any]  # of its properties; DROPPED: without it


DROPPED = object()
OTHER = {"string": 7, "integer": "seven", "number": "seven", "boolean": "perhaps",
         "array": {"a": "b"}, "object": "text"}  # fmt: skip
NO_VALUE = "NoSuchValue"


def family(file: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all that it inherits from, each with its file."""
    file, schema = specs.resolved(file, schema)
    yield file, schema
    for each in schema.get("allOf", []):
        yield from family(file, each)


def chosen(file: str, schema: dict[str, Any], value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The definition that an object's discriminator names."""
    file, schema = specs.resolved(file, schema)
    names = [each["discriminator"] for _, each in family(file, schema) if "discriminator" in each]
    for each in specs.rest_files().get(file.split("/")[-2], []) if names else []:
        for name, one in specs.file_of(each).get("definitions", {}).items():
            named = one.get("x-ms-discriminator-value", name) == value.get(names[0])
            if named and any(above is schema for _, above in family(each, one)):
                return each, one
    return file, schema


def mistakes(
    file: str, schema: dict[str, Any], value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[Mistake]:
    """Each single mistake that can be made in a valid value."""
    file, schema = specs.resolved(file, schema)
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from mistakes(file, schema.get("items", {}), each, (*path, index))
    if not isinstance(value, dict):
        return
    file, schema = chosen(file, schema, value)
    line = list(family(file, schema))
    known = {
        name: (where, rule)
        for where, one in reversed(line)
        for name, rule in one.get("properties", {}).items()
    }
    required = {name for _, one in line for name in one.get("required", [])}
    free = [(w, one["additionalProperties"]) for w, one in line if one.get("additionalProperties")]
    for name, each in value.items():
        if name not in known:
            if free:
                yield from mistakes(*free[0], each, (*path, name))
            continue
        where, rule = known[name]
        kind = {**rule, **specs.resolved(where, rule)[1]}
        if not free:
            yield Mistake("misspelt", path, {name: DROPPED, f"{name}s": each})
        if name in required:
            yield Mistake("missing", path, {name: DROPPED})
        if "enum" in kind:
            yield Mistake("value", path, {name: NO_VALUE})
        typed = {"properties", "allOf", "additionalProperties"} & kind.keys()
        if kind.get("type", "object") != "object" or typed:
            yield Mistake("type", path, {name: OTHER[kind.get("type", "object")]})
        if kind.get("minLength") or ("pattern" in kind and not re.search(kind["pattern"], "")):
            yield Mistake("limit", path, {name: ""})
        yield from mistakes(where, rule, each, (*path, name))
    for name, (where, rule) in known.items():
        target = specs.resolved(where, rule)[1]
        if name not in value and rule.get("readOnly", target.get("readOnly")):
            yield Mistake("read-only", path, {name: "text"})


def changed(body: Any, mistake: Mistake) -> Any:
    """The body with the mistake; what it does not touch is shared with the valid one."""
    if not mistake.path:
        every = {**body, **mistake.change}
        return {name: each for name, each in every.items() if each is not DROPPED}
    first, *rest = mistake.path
    copy = list(body) if isinstance(body, list) else dict(body)
    copy[first] = changed(body[first], mistake._replace(path=tuple(rest)))
    return copy


def test_nineteen_of_twenty_mistakes_of_each_kind_are_found() -> None:
    made: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for each in examples():
        if each.name in BROKEN or not isinstance(each.body, dict):
            continue
        [schema] = [one["schema"] for one in each.operation.parameters() if one["in"] == "body"]
        for mistake in mistakes(each.operation.file, schema, each.body):
            found = request_findings(each.method, each.url, changed(each.body, mistake))
            made[mistake.kind] += 1
            missed[mistake.kind] += not any(key in told for told in found for key in mistake.change)
    shares = {kind: 1 - missed[kind] / number for kind, number in made.items()}
    print(f"{made.total()} mistakes, {missed.total()} missed: {dict(made)}")
    assert made.total() > 20_000
    assert shares.keys() == {"misspelt", "missing", "type", "value", "limit", "read-only"}
    assert min(shares.values()) >= 0.95, shares


# --- One by one

JOBS = f"{PROVIDER}/workspaces/jobs"
COMMAND = {
    "properties": {
        "jobType": "Command",
        "command": "python train.py",
        "environmentId": "azureml:train:1",
        "limits": {"jobLimitsType": "Command", "timeout": "PT1H"},
        "resources": {"instanceCount": 1},
        "inputs": {"data": {"jobInputType": "uri_file", "uri": "azureml:churn:1"}},
        "tags": {"team": "churn"},
    }
}


def job(**properties: Any) -> dict[str, Any]:
    return {"properties": {**COMMAND["properties"], **properties}}


@pytest.mark.parametrize(
    ("body", "findings"),
    [
        (COMMAND, []),
        (job(jobType="command", inputs={"data": {"jobInputType": "URI_File", "uri": "x"}}), []),
        (job(command=UNKNOWN, identity={"identityType": UNKNOWN, "clientId": 1}), []),
        (job(jobType=UNKNOWN), []),
        (job(description=None), []),
        (job(tags={"any key": "any value"}), []),
        (job(tags={"size": 1}), ["properties.tags.size: 1 is no StringType"]),
        (job(comand="x"), ["properties.comand: unknown property"]),
        (job(command=None), ["properties.command: missing"]),
        (job(command="?!"), ["properties.command: '?!' does not match [a-zA-Z0-9_]"]),
        (job(command=["python"]), ["properties.command: ['python'] is no StringType"]),
        (job(isArchived="no"), ["properties.isArchived: 'no' is no BooleanType"]),
        (job(isArchived=0), ["properties.isArchived: 0 is no BooleanType"]),
        (job(status="Completed"), ["properties.status: read-only"]),
        (
            job(resources={"instanceCount": True, "shmSize": "2"}),
            [
                "properties.resources.instanceCount: True is no IntegerType",
                "properties.resources.shmSize: '2' does not match \\d+[bBkKmMgG]",
            ],
        ),
        (
            job(queueSettings={"jobTier": "Gold"}),
            ["properties.queueSettings.jobTier: 'Gold' is none of "
             "Null, Spot, Basic, Standard, Premium"],
        ),
        ({"properties": []}, ["properties: [] is no DiscriminatedObjectType"]),
        ({}, ["properties: missing"]),
        ({**COMMAND, "name": "-"}, ["name: '-' does not match ^[a-zA-Z0-9][a-zA-Z0-9\\-_]{0,254}$"]),
        ({**COMMAND, "id": "/x"}, ["id: read-only"]),
        ({**COMMAND, "apiVersion": "2024-01-01-preview", "type": JOBS}, []),
        ({**COMMAND, "type": "Microsoft.Web/sites"}, [f"type: 'Microsoft.Web/sites' is none of {JOBS}"]),
    ],
)  # fmt: skip
def test_a_job_s_body_is_told_what_is_wrong_with_it(
    body: dict[str, Any], findings: list[str]
) -> None:
    assert body_findings(JOBS, "2024-01-01-preview", body) == findings


def test_all_mistakes_are_told_at_once() -> None:
    body = job(jobType="Comand", command="") | {"tags": {}}
    assert [each.split(",")[0] for each in body_findings(JOBS, "2024-01-01-preview", body)] == [
        "properties.jobType: 'Comand' is unknown",
        "tags: unknown property",
    ]


def test_the_numbers_of_another_provider_are_limited() -> None:
    kind, version = "Microsoft.OperationalInsights/workspaces/tables", "2023-09-01"
    for days, findings in [(30, 0), (3, 1), (731, 1)]:
        body = {"properties": {"retentionInDays": days}}
        assert len(body_findings(kind, version, body)) == findings


def test_an_answer_may_hold_what_only_azure_writes() -> None:
    answer = job(status="Completed")
    assert body_findings(JOBS, "2024-01-01-preview", answer, allow_read_only=True) == []


@pytest.mark.parametrize("kind", [JOBS, JOBS.upper(), JOBS.lower()])
def test_a_type_is_known_in_any_case(kind: str) -> None:
    assert {"2024-01-01-preview", "2025-01-01-preview"} <= versions_of(kind)
    assert body_findings(kind, "2025-01-01-preview", COMMAND) == []


def test_what_is_not_published_is_said_to_be_so() -> None:
    assert versions_of(f"{PROVIDER}/workspaces/tasks") == set()
    for name, version in [("jobs", "2024-01-02"), ("tasks", "2024-01-01-preview")]:
        kind = f"{PROVIDER}/workspaces/{name}"
        assert body_findings(kind, version, COMMAND) == [f"{kind}@{version} is not published"]


V = "api-version=2024-01-01-preview"


@pytest.mark.parametrize(
    ("method", "url", "body", "findings"),
    [
        ("PUT", f"/jobs/train?{V}", COMMAND, []),
        ("PUT", f"/JOBS/train?{V}", COMMAND, []),
        ("GET", f"/jobs?{V}&$skip=x&listViewType=all&scheduled=true", None, []),
        ("PUT", "/jobs/train?api-version=2025-01-01-preview", COMMAND, []),
        ("GET", "/jobs?api-version=2025-01-01-preview", None, []),
        ("PUT", f"/jobs/train?{V}", job(comand=1), ["properties.comand: unknown property"]),
        ("PUT", f"/jobs/train?{V}", {**COMMAND, "name": "other"},
         ["name: 'other' is not 'train', as in the URL"]),
        ("PUT", f"/jobs/-?{V}", COMMAND, ["{id}: '-' does not match", "name: '-' does not match"]),
        ("PUT", f"/jobs/train?{V}", None, ["PUT WORKSPACE/jobs/{id} needs a body"]),
        ("GET", f"/jobs/train?{V}", {"a": 1}, ["GET WORKSPACE/jobs/{id} takes no body"]),
        ("GET", f"/tasks/train?{V}", None, ["GET WORKSPACE/tasks/train: unknown path"]),
        ("GET", f"/jobs/train/?{V}", None, ["GET WORKSPACE/jobs/train/: unknown path"]),
        ("GET", "/tasks?api-version=2025-01-01-preview", None, ["GET WORKSPACE/tasks: unknown"]),
        ("POST", f"/jobs/train?{V}", None, ["POST WORKSPACE/jobs/train: unknown path, known are "]),
        ("GET", "/serverlessEndpoints?api-version=2023-10-01", None, ["GET WORKSPACE/serverless"]),
        ("GET", "/jobs", None, ["?api-version: missing"]),
        ("GET", "/jobs?api-version=2024-01-02", None, [f"{PROVIDER}@2024-01-02 is not published"]),
        ("GET", f"/jobs?{V}&skip=1", None, ["?skip: unknown query parameter"]),
        ("GET", f"/jobs?{V}&listViewType=Some", None, ["?listViewType: 'Some' is none of"]),
        ("GET", f"/jobs?{V}&scheduled=perhaps", None, ["?scheduled: 'perhaps' is no BooleanType"]),
        ("GET", f"/models/m/versions?{V}&$top=ten", None, ["?$top: 'ten' is no IntegerType"]),
        ("POST", f"/jobs/train/cancel?{V}", None, []),
        ("POST", f"/onlineEndpoints/e/regenerateKeys?{V}", {"keyType": "Primary"}, []),
        ("POST", f"/onlineEndpoints/e/regenerateKeys?{V}", {"keyType": "Third"},
         ["body.keyType: 'Third' is none of Primary, Secondary"]),
        ("POST", f"/onlineEndpoints/e/regenerateKeys?{V}", {}, ["body.keyType: missing"]),
        ("PATCH", f"/onlineEndpoints/e?{V}", {"tags": {"a": "b"}}, []),
        ("PATCH", f"/onlineEndpoints/e?{V}", {"tag": {}}, ["body.tag: unknown property"]),
        ("PATCH", f"/onlineEndpoints/e?{V}", {"identity": {"type": "None", "principalId": "x"}},
         ["body.identity.principalId: unknown property"]),
    ],
)  # fmt: skip
def test_a_request_is_told_what_is_wrong_with_it(
    method: str, url: str, body: Any, findings: list[str]
) -> None:
    found = request_findings(method, f"https://management.azure.com{WORKSPACE}{url}", body)
    plain = [
        re.sub(r"/subscriptions/\S*/workspaces/[^/]*", "WORKSPACE", finding) for finding in found
    ]
    assert len(plain) == len(findings), plain
    assert all(each.startswith(start) for each, start in zip(plain, findings)), plain


def test_a_registry_s_requests_are_known_too() -> None:
    registry = WORKSPACE.replace("/workspaces/mlw-churn", "/registries/models")
    put = f"{registry}/models/churn/versions/1?api-version=2023-08-01-preview"
    assert request_findings("PUT", put, {"properties": {"modelUri": "x"}}) == []
    assert request_findings("PUT", put, {"properties": {"modelUrl": "x"}}) == [
        "properties.modelUrl: unknown property"
    ]


@pytest.mark.parametrize(
    ("kinds", "version"),
    [
        ("jobs components/versions batchEndpoints/deployments", "2024-01-01-preview"),
        ("jobs", "2025-01-01-preview"),
        ("environments/versions data/versions onlineEndpoints/deployments", "2023-04-01-preview"),
        ("models/versions computes", "2023-08-01-preview"),
        ("codes/versions", "2023-04-01"),
        ("onlineEndpoints", "2022-02-01-preview"),
        ("batchEndpoints", "2023-10-01"),
        ("schedules", "2023-06-01-preview"),
        ("datastores", "2024-10-01-preview"),
        ("connections", "2024-04-01-preview"),
    ],
)
def test_the_versions_that_azure_ai_ml_sends_are_published(kinds: str, version: str) -> None:
    for kind in kinds.split():
        assert version in versions_of(f"{PROVIDER}/workspaces/{kind}"), kind


# A status that no job has in the specification.
BROKEN_ANSWERS = {
    f"{name} {status}"
    for name in (
        "2023-04-01/Job/AutoMLJob/createOrUpdate.json",
        "2023-10-01/Job/AutoMLJob/createOrUpdate.json",
        "2024-01-01-preview/Job/FineTuningJob/createOrUpdate.json",
        "2024-04-01-preview/Job/FineTuningJob/createOrUpdate.json",
    )
    for status in (200, 201)
}


def test_the_answers_of_the_examples_pass_but_for_those_that_break_the_specification() -> None:
    answers = {
        f"{each.name} {status}": response_findings(each.method, each.url, int(status), body)
        for each in examples()
        if each.name not in BROKEN
        for status, body in ((status, told.get("body")) for status, told in each.answers.items())
    }
    assert len(answers) > 1000
    assert {name for name, findings in answers.items() if findings} == BROKEN_ANSWERS
    assert all("properties.status: " in answers[name][0] for name in BROKEN_ANSWERS)


def test_an_answer_is_told_what_is_wrong_with_it() -> None:
    url = f"{WORKSPACE}/jobs/train?{V}"
    answer = job(status="Completed") | {"id": "/x", "name": "train"}
    assert response_findings("PUT", url, 201, answer) == []
    assert response_findings("PUT", url, 404, {"error": {"code": "NotFound"}}) == []
    assert response_findings("PUT", url, 204, None) != []
    assert response_findings("PUT", url, 200, {**answer, "state": 1}) == [
        "body.state: unknown property"
    ]


def test_without_the_archive_a_test_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "SPECS", tmp_path)
    monkeypatch.delenv("NOTHING_SKIPPED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="AZURE_SPECS"):
        specs.archived.__wrapped__("bicep-types.tar.xz")
    monkeypatch.setenv("NOTHING_SKIPPED", "1")
    with pytest.raises(pytest.fail.Exception, match="AZURE_SPECS"):
        specs.archived.__wrapped__("bicep-types.tar.xz")
