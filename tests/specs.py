"""What Azure's public specifications say about a request: the types of Bicep, and the REST API's.

`body_findings` checks a resource's body against the types that Bicep's compiler uses;
`request_findings` checks a whole request to Azure Machine Learning against the REST specifications.
Both are no part of this repository: AZURE_SPECS names the folder of their archives. Where that is
missing, a test that needs them is skipped.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from .conftest import TEMPLATE, not_here

SPECS = Path(os.environ.get("AZURE_SPECS", TEMPLATE.parent / "shared" / "azure-specs"))
REQUIRED, READ_ONLY, WRITE_ONLY = 1, 2, 4  # the flags of a property
CLASSES = {"StringType": str, "IntegerType": (int, float), "BooleanType": bool,
           "ArrayType": list, "ObjectType": dict, "DiscriminatedObjectType": dict}  # fmt: skip
ANY = {"$type": "AnyType"}


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()  # a value that only Azure knows: it passes every check


@functools.cache
def archived(name: str) -> dict[str, bytes]:
    """The files of an archive, by their path."""
    archive = SPECS / name
    if not archive.is_file():
        not_here(f"{archive} is not there: AZURE_SPECS names the folder that holds it")
    with tarfile.open(archive) as files:
        read = {file.name: files.extractfile(file) for file in files if file.isfile()}
        return {path: content.read() for path, content in read.items() if content}


# --- Bodies, by the types of Bicep


def _linked(types: list[Any], value: Any) -> Any:
    """A part of the types, with what its references refer to in their place."""
    if isinstance(value, list):
        return [_linked(types, each) for each in value]
    if isinstance(value, dict) and "$ref" in value:
        return types[int(value["$ref"].removeprefix("#/"))]
    if isinstance(value, dict):
        value.update({key: _linked(types, each) for key, each in value.items()})
    return value


@functools.cache
def _bodies(namespace: str, version: str) -> dict[str, Any]:
    """The bodies that a namespace publishes, by `<type>@<api-version>` in small letters."""
    folder = f"bicep-types/{namespace}/{version}/".lower()
    files = [text for name, text in archived("bicep-types.tar.xz").items() if folder in name]
    every = [item for types in map(json.loads, files) for item in _linked(types, types)]
    made = [item for item in every if item["$type"] == "ResourceType"]
    return {item["name"].lower(): item["body"] for item in made}


@functools.cache
def _index() -> dict[str, set[str]]:
    """The api-versions of each resource type, and of each namespace, in small letters."""
    index: dict[str, set[str]] = {}
    listed = json.loads(archived("bicep-types.tar.xz")["bicep-types/index.json"])
    for kind, versions in listed.items():
        for name in (kind.lower(), kind.lower().split("/")[0]):
            index.setdefault(name, set()).update(versions)
    return index


def versions_of(kind: str) -> set[str]:
    """The api-versions in which a resource type (`Microsoft.X/y/z`, in any case) is published."""
    return set(_index().get(kind.lower(), ()))


def body_findings(
    kind: str, version: str, body: dict[str, Any], *, allow_read_only: bool = False
) -> list[str]:
    """What is wrong with the body of a resource: a sentence with the path for each mistake.

    A list of known values is read as a closed one, whether the types close it or not; a value
    that differs in case only passes. A null is what is left out. The types have no fractions: a
    number is a number. Where they are free-form nothing is checked: `properties.jobs.*` and
    `settings` of a pipeline job, `resources.properties`, a component's `componentSpec`, a
    schedule's `endpointInvocationDefinition`.

    Args:
        kind: `Microsoft.X/y/z`, in any case.
        version: the api-version.
        body: what is put. Name, type and apiVersion need not be there, but are checked if they are.
        allow_read_only: whether what only Azure writes may be there, as in its answers.
    """
    expected = _bodies(kind.split("/")[0], version).get(f"{kind}@{version}".lower())
    if not expected:
        return [f"{kind}@{version} is not published"]
    known = expected.get("properties") or expected["baseProperties"]
    given = {"name": UNKNOWN, **body}
    stated = {key: given.pop(key) for key in ("type", "apiVersion") if key in given}
    return [
        *(each for key in stated for each in _findings(known[key]["type"], stated[key], key)),
        *_object_findings(expected, given, "", allow_read_only),
    ]


def _findings(
    expected: dict[str, Any], value: Any, path: str, read_only: bool = False
) -> Iterator[str]:
    kind = expected["$type"]
    if value is UNKNOWN or value is None or kind == "AnyType":
        return
    if kind in ("UnionType", "StringLiteralType"):
        values = [each.get("value") for each in expected.get("elements", [expected])]
        known = [each for each in values if each is not None]
        if str(value).lower() not in {each.lower() for each in known}:
            yield f"{path}: {value!r} is none of {', '.join(known)}"
    elif not isinstance(value, CLASSES[kind]) or isinstance(value, bool) != (kind == "BooleanType"):
        yield f"{path}: {value!r} is no {kind}"
    elif isinstance(value, dict):
        yield from _object_findings(expected, value, path, read_only)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _findings(expected["itemType"], each, f"{path}[{index}]", read_only)
    else:
        yield from _limit_findings(expected, value, path)


def _limit_findings(rules: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    size, unit = (len(value), "Length") if isinstance(value, str) else (value, "Value")
    if size < rules.get(f"min{unit}", size):
        yield f"{path}: {value!r} is below the min{unit} of {rules[f'min{unit}']}"
    if size > rules.get(f"max{unit}", size):
        yield f"{path}: {value!r} is above the max{unit} of {rules[f'max{unit}']}"
    # JavaScript reads `[\w-.]` as three characters, Python as a broken range.
    pattern = rules.get("pattern", "").replace(r"\w-.", r"\w\-.")
    if not re.search(pattern, str(value)):
        yield f"{path}: {value!r} does not match {pattern}"


def _object_findings(
    expected: dict[str, Any], given: dict[str, Any], path: str, read_only: bool
) -> Iterator[str]:
    at = f"{path}." if path else ""
    known = expected.get("properties") or expected.get("baseProperties", {})
    rest = expected.get("additionalProperties")
    if name := expected.get("discriminator"):
        kinds = {kind.lower(): each for kind, each in expected["elements"].items()}
        chosen = given.get(name)
        if chosen is not UNKNOWN and str(chosen).lower() not in kinds:
            wrong = "missing" if chosen is None else f"{chosen!r} is unknown"
            yield f"{at}{name}: {wrong}, known are {', '.join(expected['elements'])}"
            return
        element = {"properties": {}, **ANY} if chosen is UNKNOWN else kinds[str(chosen).lower()]
        known = known | element["properties"]
        rest = ANY if chosen is UNKNOWN else element.get("additionalProperties", rest)
    other = WRITE_ONLY if read_only else READ_ONLY
    for key, rule in known.items():
        if rule["flags"] & (REQUIRED | other) == REQUIRED and given.get(key) is None:
            yield f"{at}{key}: missing"
    for key, value in given.items():
        if key in known and known[key]["flags"] & READ_ONLY and not read_only:
            yield f"{at}{key}: read-only"
        elif key in known or rest:
            rule = known[key]["type"] if key in known else rest
            yield from _findings(rule, value, f"{at}{key}", read_only)
        else:
            yield f"{at}{key}: unknown property"


# --- Requests, by the specifications of the REST API

PROVIDER = "Microsoft.MachineLearningServices"
FOLDER = f"rest-specs/specification/machinelearningservices/resource-manager/{PROVIDER}/"
SIMPLE = {"string": "StringType", "integer": "IntegerType", "number": "IntegerType",
          "boolean": "BooleanType"}  # fmt: skip
LIMITS = {"minimum": "minValue", "maximum": "maxValue", "minLength": "minLength",
          "maxLength": "maxLength", "pattern": "pattern"}  # fmt: skip


class Operation(NamedTuple):
    """A method of a path."""

    file: str
    path: str
    definition: dict[str, Any]
    values: dict[str, str] = {}  # noqa: RUF012 - of a path's parameters; never changed

    def parameters(self) -> list[dict[str, Any]]:
        return [resolved(self.file, each)[1] for each in self.definition.get("parameters", [])]

    def kind(self) -> str:
        """The type of the resource: the words of the path that name no single resource."""
        namespace, *words = self.path.split("/providers/")[1].split("/")
        return "/".join([namespace, *words[::2]])


@functools.cache
def file_of(path: str) -> Any:
    return json.loads(archived("rest-specs.tar.xz")[path])


@functools.cache
def rest_files() -> dict[str, list[str]]:
    """The files of each api-version that the REST specifications have."""
    files: dict[str, list[str]] = {}
    for name in sorted(archived("rest-specs.tar.xz")):
        if name.startswith(FOLDER) and name.endswith(".json") and "/examples/" not in name:
            files.setdefault(name.split("/")[-2], []).append(name)
    return files


@functools.cache
def operations(version: str) -> dict[tuple[str, str], Operation]:
    """All that an api-version knows, by path and method; the most literal path first."""
    every = {
        (path, method): Operation(file, path, definition)
        for file in rest_files()[version]
        for path, methods in file_of(file)["paths"].items()
        for method, definition in methods.items()
    }
    return dict(sorted(every.items(), key=lambda item: item[0][0].count("{")))


@functools.cache
def _expression(path: str) -> re.Pattern[str]:
    words = re.split(r"\{[^}]+\}", path)
    return re.compile("([^/]+)".join(map(re.escape, words)), re.IGNORECASE)


def operation_of(method: str, path: str, version: str | None) -> Operation | str:
    """What a request is, in its api-version or in the nearest one; or why it is none."""
    versions = [version] if version in rest_files() else sorted(rest_files(), reverse=True)
    if version and version not in versions:
        wanted = date.fromisoformat(version[:10])
        versions.sort(key=lambda each: abs(date.fromisoformat(each[:10]) - wanted))
    known = set()
    for each in versions:
        for (template, name), operation in operations(each).items():
            if match := _expression(template).fullmatch(path):
                known.add(name.upper())
                if name == method.lower():
                    names = re.findall(r"\{([^}]+)\}", template)
                    return operation._replace(values=dict(zip(names, map(unquote, match.groups()))))
    return f"{method} {path}: unknown path" + f", known are {', '.join(sorted(known))}" * bool(
        known
    )


def resolved(file: str, node: Any) -> tuple[str, Any]:
    """What a node refers to, and the file that it stands in."""
    while "$ref" in node:
        target, _, pointer = node["$ref"].partition("#/")
        file = normpath(join(dirname(file), target)) if target else file
        node = functools.reduce(lambda at, key: at[key], pointer.split("/"), file_of(file))
    return file, node


_types: dict[int, dict[str, Any]] = {}  # by the id of a schema: schemas refer to each other


def _type(file: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in the words of Bicep's types, so that one checker reads both."""
    file, schema = resolved(file, schema)
    if id(schema) not in _types:
        _types[id(schema)] = {}
        _types[id(schema)].update(_translated(file, schema))
    return _types[id(schema)]


def _translated(file: str, schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type", "")
    if "enum" in schema:
        return {"$type": "UnionType", "elements": [{"value": each} for each in schema["enum"]]}
    if kind in SIMPLE:
        limits = {ours: schema[theirs] for theirs, ours in LIMITS.items() if theirs in schema}
        return {"$type": SIMPLE[kind], **limits}
    if kind == "array":
        return {"$type": "ArrayType", "itemType": _type(file, schema["items"])}
    if not {"properties", "additionalProperties", "allOf"} & schema.keys():
        return ANY
    elements = dict(_derived(file, schema)) if "discriminator" in schema else {}
    chosen = {"discriminator": schema["discriminator"], "elements": elements} if elements else {}
    return {"$type": "ObjectType", **_members(file, schema), **chosen}


def _members(file: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The properties of an object, with those that it inherits."""
    above = [_members(*resolved(file, each)) for each in schema.get("allOf", [])]
    known = {name: rule for each in above for name, rule in each["properties"].items()}
    for name, each in schema.get("properties", {}).items():
        read_only = each.get("readOnly", resolved(file, each)[1].get("readOnly"))
        secret = "read" not in each.get("x-ms-mutability", ["read"])
        flags = READ_ONLY if read_only else WRITE_ONLY if secret else 0
        known[name] = {"type": _type(file, each), "flags": flags}
    for name in known.keys() & set(schema.get("required", [])):
        known[name] = {**known[name], "flags": known[name]["flags"] | REQUIRED}
    rest = schema.get("additionalProperties")
    inherited = [each["additionalProperties"] for each in above if each["additionalProperties"]]
    free = _type(file, rest) if isinstance(rest, dict) else next(iter(inherited), None)
    return {"properties": known, "additionalProperties": free}


def _derived(file: str, base: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What inherits from a definition, by the value of its discriminator."""
    for each in rest_files()[file.split("/")[-2]]:
        for name, schema in file_of(each).get("definitions", {}).items():
            if any(resolved(each, above)[1] is base for above in schema.get("allOf", [])):
                yield schema.get("x-ms-discriminator-value", name), _members(each, schema)
                yield from _derived(each, schema)


def request_findings(method: str, url: str, body: Any) -> list[str]:
    """What is wrong with a request to Azure Machine Learning: a sentence for each mistake.

    Method, path and parameters are checked by the REST specification of the api-version or, where
    that is not at hand, of the nearest one that knows them. The body of a PUT is checked by
    `body_findings`, with its blind spots; any other body by the REST specification. Requests to
    other providers, to MLflow or to the history of runs are unknown paths: do not ask about them.
    """
    path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    version = query.get("api-version")
    if version is not None and version not in {*_index()[PROVIDER.lower()], *rest_files()}:
        return [f"{PROVIDER}@{version} is not published"]
    operation = operation_of(method, path, version)
    if isinstance(operation, str):
        return [operation]
    asked = {(each["in"], each["name"].lower()): each for each in operation.parameters()}
    given = {("query", name.lower()): text for name, text in query.items()}
    given |= {("path", name.lower()): text for name, text in operation.values.items()}
    return [
        *(f"?{name}: unknown query parameter" for _, name in sorted(given.keys() - asked.keys())),
        *(
            finding
            for key, parameter in asked.items()
            if parameter["in"] != "body"
            for finding in _parameter_findings(parameter, given.get(key))
        ),
        *_content_findings(operation, method.upper(), version, body),
    ]


def _parameter_findings(parameter: dict[str, Any], text: str | None) -> Iterator[str]:
    path = f"?{parameter['name']}" if parameter["in"] == "query" else f"{{{parameter['name']}}}"
    if text is None and parameter.get("required"):
        yield f"{path}: missing"
    elif text is not None:
        kind = parameter["type"]
        plain = kind in ("integer", "boolean") and re.fullmatch(r"-?\d+|true|false", text.lower())
        value = text.split(",") if kind == "array" else text
        rule = _translated("", parameter)
        yield from _findings(rule, json.loads(text.lower()) if plain else value, path)


def _content_findings(
    operation: Operation, method: str, version: str | None, body: Any
) -> Iterator[str]:
    asked = [each for each in operation.parameters() if each["in"] == "body"]
    if body is None or not asked:
        if body or (asked and asked[0].get("required")):
            yield f"{method} {operation.path} {'takes no' if body else 'needs a'} body"
    elif method == "PUT" and version and isinstance(body, dict) and versions_of(operation.kind()):
        name = list(operation.values.values())[-1]
        if str(body.get("name", name)).lower() != name.lower():
            yield f"name: {body['name']!r} is not {name!r}, as in the URL"
        yield from body_findings(operation.kind(), version, {**body, "name": name})
    else:
        yield from _findings(_type(operation.file, asked[0]["schema"]), body, "body")


def response_findings(method: str, url: str, status: int, body: Any) -> list[str]:
    """What is wrong with the answer to a request that is right: its status, or its body."""
    version = dict(parse_qsl(urlsplit(url).query)).get("api-version")
    operation = operation_of(method, urlsplit(url).path, version)
    if isinstance(operation, str):
        return [operation]
    answers = operation.definition["responses"]
    answer = answers.get(str(status)) or (answers.get("default") if status >= 400 else None)
    if answer is None or (body and "schema" not in answer):
        what = "no answer" if answer is None else "an answer without a body"
        return [f"{method} {operation.path}: {status} is {what}"]
    rule = _type(operation.file, answer["schema"]) if "schema" in answer else ANY
    return list(_findings(rule, body, "body", read_only=True))
