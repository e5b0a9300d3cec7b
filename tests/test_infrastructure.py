"""The infrastructure: it parses, and Azure's published types know all that it says.

The types are those of Bicep's compiler, and not part of this repository: AZURE_SPECS names the
folder of `bicep-types.tar.xz`. Where that is missing, the checks are skipped.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_bicep
import yaml
from tree_sitter import Language, Node, Parser

from .conftest import TEMPLATE, generated, not_here

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}" / "infrastructure"
SPECS = Path(os.environ.get("AZURE_SPECS", TEMPLATE.parent / "shared" / "azure-specs"))
MAIN = (FOLDER / "main.bicep").read_text(encoding="utf-8")
REQUIRED, READ_ONLY = 1, 2  # the flags of a property
KINDS = {"StringType": "string", "IntegerType": "number", "BooleanType": "boolean",
         "ObjectType": "object", "DiscriminatedObjectType": "object", "ArrayType": "array"}  # fmt: skip
FUNCTIONS = {"description", "guid", "resourceGroup", "subscription", "subscriptionResourceId"}
# Azure's rule for names, where the published type has none.
NAMES = {"Microsoft.KeyVault/vaults": r"^(?!.*--)[a-z][a-z0-9-]{1,22}[a-z0-9]$"}


def source(node: Node) -> str:
    return (node.text or b"").decode()


def filled(text: str, settings: dict[str, Any]) -> str:
    """The text with the values of settings, and with 13 characters for `uniqueString`."""
    text = text.replace("uniqueString(resourceGroup().id)", f"'{'0' * 13}'")
    for path in sorted(set(re.findall(r"\bsettings(?:\.\w+)+", text)), key=len, reverse=True):
        value = functools.reduce(lambda at, key: (at or {}).get(key), path.split(".")[1:], settings)
        literal = path.replace(".", "_") if value is None else json.dumps(value).replace('"', "'")
        text = text.replace(path, literal)
    return text


def members(node: Node) -> dict[str, Node]:
    pairs = [pair.named_children for pair in node.named_children if pair.type == "object_property"]
    return {source(name).strip("'"): value for name, value in pairs}


class Bicep:
    """A file, with what it declares by symbol; a resource is a type, an api-version and a body."""

    def __init__(self, text: str) -> None:
        parser = Parser(Language(tree_sitter_bicep.language()))
        self.root = parser.parse(text.encode()).root_node
        whole = [] if self.root.has_error else self.root.named_children
        made = [(node.type.partition("_")[0], node.named_children) for node in whole]
        self.parameters = {source(parts[0]) for kind, parts in made if kind == "parameter"}
        self.variables = {source(parts[0]): parts[-1] for kind, parts in made if kind == "variable"}
        self.resources = {
            source(parts[0]): (*source(parts[1])[1:-1].split("@"), parts[-1])
            for kind, parts in made
            if kind == "resource"
        }

    def plain(self, node: Node) -> str | None:
        """What a string says; None for what only Azure knows."""
        node = self.variables.get(source(node), node)
        parts = [
            self.plain(part.named_children[0]) if part.type == "interpolation" else source(part)
            for part in node.named_children
        ]
        return None if node.type != "string" or None in parts else "".join(map(str, parts))

    def undeclared(self) -> Iterator[str]:
        """Symbols and functions that are used and not known."""
        known = self.parameters | self.variables.keys() | self.resources.keys()
        below = [self.root]
        for above in below:
            below += above.children
            names = above.type == "object_property" or above.type.endswith("_declaration")
            usable = FUNCTIONS if above.type == "call_expression" else known
            for node in above.named_children[1 if names else 0 :]:
                if node.type == "identifier" and source(node) not in usable:
                    yield source(node)


def linked(types: list[Any], value: Any) -> Any:
    """A part of the types, with what its references refer to in their place."""
    if isinstance(value, list):
        return [linked(types, each) for each in value]
    if isinstance(value, dict) and "$ref" in value:
        return types[int(value["$ref"].removeprefix("#/"))]
    if isinstance(value, dict):
        value.update({key: linked(types, each) for key, each in value.items()})
    return value


@functools.cache
def published() -> dict[str, Any]:
    """The body of each resource type, by `<type>@<api-version>`, of the versions that are used."""
    archive = SPECS / "bicep-types.tar.xz"
    if not archive.is_file():
        not_here(f"{archive} is not there: AZURE_SPECS names the folder that holds it")
    used = Bicep(MAIN).resources.values()
    wanted = {f"/{kind.split('/')[0]}/{version}/".lower() for kind, version, _ in used}
    with tarfile.open(archive) as files:
        names = [name for name in files.getnames() if any(part in name for part in wanted)]
        lists = [json.load(files.extractfile(name)) for name in names]
    every = [item for types in lists for item in linked(types, types)]
    return {item["name"]: item["body"] for item in every if item["$type"] == "ResourceType"}


def findings(file: Bicep, expected: dict[str, Any], node: Node, path: str) -> list[str]:
    """What is wrong with a value. What only Azure knows, like an id, passes."""
    node = file.variables.get(source(node), node)
    kind = expected["$type"]
    if kind == "AnyType" or node.type not in {*KINDS.values(), "null"}:
        return []
    if kind in ("UnionType", "StringLiteralType"):
        # An open list of values is read as a closed one: a value that is not in it is a mistake.
        known = {None, *(each.get("value") for each in expected.get("elements", [expected]))}
        right = node.type == "string" and file.plain(node) in known
        return [] if right else [f"{path}: {source(node)} is none of the known values"]
    if KINDS[kind] != node.type:
        return [f"{path}: {source(node)} is no {kind}"]
    if node.type == "object":
        return object_findings(file, expected, members(node), path)
    if node.type == "array":
        each = [findings(file, expected["itemType"], n, path) for n in node.named_children]
        return [finding for found in each for finding in found]
    return text_findings(expected, file.plain(node), path)


def text_findings(rule: dict[str, Any], text: str | None, path: str) -> list[str]:
    right = text is None or (
        rule.get("minLength", 0) <= len(text) <= rule.get("maxLength", len(text))
        and re.search(rule.get("pattern", ""), text)
    )
    return [] if right else [f"{path}: {text} is not allowed"]


def object_findings(file: Bicep, expected: dict, given: dict[str, Node], path: str) -> list[str]:
    known = expected.get("properties") or expected.get("baseProperties", {})
    if name := expected.get("discriminator"):
        chosen = expected["elements"].get(file.plain(given[name]) if name in given else None)
        if not chosen:
            return [f"{path}.{name}: missing or unknown"]
        known = known | chosen["properties"]
    needed = [name for name, rule in known.items() if rule["flags"] & REQUIRED]
    found = [f"{path}.{name}: missing" for name in needed if name not in given]
    for name, node in given.items():
        rule = known[name]["type"] if name in known else expected.get("additionalProperties")
        if not rule:
            found.append(f"{path}.{name}: unknown")
        elif name in known and known[name]["flags"] & READ_ONLY:
            found.append(f"{path}.{name}: read-only")
        else:
            found += findings(file, rule, node, f"{path}.{name}")
    return found


def check(text: str, settings: dict[str, Any]) -> list[str]:
    """All that is wrong with a file that is given these settings."""
    file = Bicep(filled(text, settings))
    if file.root.has_error:
        return ["syntax"]
    found = [f"{symbol}: not declared" for symbol in file.undeclared()]
    for symbol, (kind, version, body) in file.resources.items():
        expected = published().get(f"{kind}@{version}")
        if not expected or "preview" in version:
            found.append(f"{symbol}: {kind}@{version} is not published")
            continue
        given = members(body)
        given.pop("scope", None)  # Bicep's own, like `parent`: no published type has it
        parent = given.pop("parent", None)
        above = file.resources.get(source(parent), "?")[0] if parent else ""
        if above != (kind.rpartition("/")[0] if kind.count("/") > 1 else ""):
            found.append(f"{symbol}.parent: {above} is not above {kind}")
        found += object_findings(file, expected, given, symbol)
        name = file.plain(given.get("name", body))
        found += text_findings({"pattern": NAMES.get(kind, "")}, name, f"{symbol}.name")
    return found


def all_settings(**answers: str) -> list[dict[str, Any]]:
    project = generated(environments="dev-test-staging-prod", **answers)
    return [yaml.safe_load(file.read_text()) for file in project.glob("environments/*.yml")]


@pytest.mark.parametrize("prefix", ["ab", "a" * 11])
@pytest.mark.parametrize("workspaces", ["one-per-environment", "one-shared"])
def test_azure_knows_all_that_is_said_in_any_environment(prefix: str, workspaces: str) -> None:
    for settings in all_settings(name_prefix=prefix, workspaces=workspaces):
        assert check(MAIN, settings) == []


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("kind: 'StorageV2'\n", "kind: 'StorageV2'\n}\n", "syntax"),
        ("  kind: 'StorageV2'\n", "", "storage.kind: missing"),
        ("allowBlobPublicAccess", "allowBlobAccess", "allowBlobAccess: unknown"),
        ("allowBlobPublicAccess: false", "provisioningState: 'Succeeded'", "read-only"),
        ("maxNodeCount: settings.azure.compute.max_instances\n", "", "maxNodeCount: missing"),
        ("minNodeCount: 0", "minNodeCount: '0'", "minNodeCount: '0' is no IntegerType"),
        ("adminUserEnabled: false", "adminUserEnabled: 'false'", "'false' is no BooleanType"),
        ("model: settings.model", "model: 1", "tags.model: 1 is no StringType"),
        ("'TLS1_2'", "'TLS1_9'", "minimumTlsVersion: 'TLS1_9' is none of the known values"),
        ("'AmlCompute'", "'AmlCluster'", "cluster.properties.computeType: missing or unknown"),
        ("storageAccounts@2026-04-01", "storageAccounts@2026-04-02", "is not published"),
        ("parent: workspace", "parent: storage", "storageAccounts is not above"),
        ("storageAccount: storage.id", "storageAccount: account.id", "account: not declared"),
        ("uniqueString(", "uniqueText(", "uniqueText: not declared"),
        ("settings.owner.team", "settings.owner.group", "settings_owner_group: not declared"),
        ("name: uniqueName", "name: 'st${uniqueName}'", "storage.name: staaaaaaaaaaa0000"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_bicep_is_found(old: str, new: str, finding: str) -> None:
    assert old in MAIN
    settings = all_settings(name_prefix="a" * 11)[0]
    assert any(finding in found for found in check(MAIN.replace(old, new, 1), settings))


def test_the_decisions_that_no_type_demands_stand_in_the_bicep() -> None:
    lines = [line.strip() for line in MAIN.splitlines()]
    assert (lines.count("tags: tags"), lines.count("type: 'SystemAssigned'")) == (7, 2)
    assert set(lines) >= {
        "allowBlobPublicAccess: false", "minimumTlsVersion: 'TLS1_2'", "adminUserEnabled: false",
        "enablePurgeProtection: true", "enableRbacAuthorization: true", "minNodeCount: 0",
        "storageAccount: storage.id", "keyVault: keyVault.id", "containerRegistry: registry.id",
        "applicationInsights: insights.id", "WorkspaceResourceId: logs.id", "scope: storage",
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.bicepparam")), ids=lambda file: file.stem)
def test_a_parameters_file_gives_the_settings_of_its_environment(file: Path) -> None:
    # The parser knows no `param` without a type; as a variable it reads the same.
    given = Bicep(re.sub("^param ", "var ", file.read_text(), flags=re.MULTILINE))
    settings = f"../environments/{file.stem.replace('shared', 'prod')}.yml"
    loaded = {name: source(value) for name, value in given.variables.items()}
    assert "using 'main.bicep'" in map(source, given.root.named_children)
    assert loaded == dict.fromkeys(Bicep(MAIN).parameters, f"loadYamlContent('{settings}')")
    assert (FOLDER / settings).is_file()
