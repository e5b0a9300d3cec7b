"""Works out what a deployment would put, as Bicep's compiler and Azure would: neither is asked.

`deployment` evaluates a parameters file and all that it leads to: the settings of an environment,
variables, conditions, loops, modules. What only Azure knows is UNKNOWN.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..specs import UNKNOWN
from .functions import FUNCTIONS, OPERATORS, SUBSCRIPTION
from .syntax import Expression, File

OWN = ("dependsOn", "parent", "scope")  # properties that are Bicep's, and no published type has
MODULE = {"dependsOn", "name", "params", "scope"}
TYPES: dict[str, type] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
READABLE = {"id", "identity", "kind", "location", "name", "properties", "sku", "tags"}
Locals = dict[str, Any]


@dataclass(eq=False)
class Resource:
    """A resource that is made, or is there already: as much of it as is known beforehand."""

    symbol: str
    kind: str
    version: str
    name: Any
    base: str  # the id of the group or subscription that is deployed to
    parent: Resource | None = None
    scope: Resource | None = None
    existing: bool = False
    decorators: str = ""
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> Any:
        if self.name is UNKNOWN:
            return UNKNOWN
        if self.parent:
            return f"{self.parent.id}/{self.kind.rpartition('/')[2]}/{self.name}"
        if self.kind == "Microsoft.Resources/resourceGroups":
            return f"{SUBSCRIPTION}/resourceGroups/{self.name}"
        return f"{self.scope.id if self.scope else self.base}/providers/{self.kind}/{self.name}"


@dataclass(frozen=True)
class Inside:
    """The properties of a resource, which Azure fills in."""

    resource: Resource

    def read(self, name: str) -> Any:
        known = ("principalId", "clientId")
        return f"{name} of {self.resource.name}" if name in known else UNKNOWN


@dataclass(frozen=True)
class Module:
    """A module, as other parts of the file see it."""

    names: set[str]
    deployed: Deployment | None

    def outputs(self) -> dict[str, Any]:
        return {n: self.deployed.outputs[n] if self.deployed else UNKNOWN for n in self.names}


class Deployment:
    """A file that is deployed: what it makes, what its modules make, and what is wrong."""

    def __init__(self, files: dict[str, str], path: str, given: dict[str, Any], base: str) -> None:
        self.files, self.path, self.base = files, path, base
        self.file = File(files[path], path)
        self.findings: list[str] = []
        self.values: dict[str, Any] = {}
        self.modules: dict[str, Deployment] = {}
        self.module_names: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.resources: list[Resource] = []
        if self.file.broken:
            self.find("syntax")
            return
        for finding in self.file.undeclared(set(FUNCTIONS)):
            self.find(finding)
        self._take(given)
        self.resources = [each for name in self.file.resources for each in self._made(name)]
        for name in self.file.modules:
            self.value(name)
        for name, output in self.file.outputs.items():
            self.outputs[name] = self.evaluate(output.value, {})  # type: ignore[arg-type]
            self._typed(name, output.words[1], self.outputs[name])

    def find(self, text: str) -> None:
        finding = f"{posixpath.basename(self.path)}: {text}"
        if finding not in self.findings:
            self.findings.append(finding)

    def everything(self) -> list[Resource]:
        """What this deployment and its modules make."""
        below = [each for module in self.modules.values() for each in module.everything()]
        return [each for each in self.resources if not each.existing] + below

    def existing(self) -> list[Resource]:
        """What this deployment and its modules find there."""
        below = [each for module in self.modules.values() for each in module.existing()]
        return [each for each in self.resources if each.existing] + below

    def deployments(self) -> Iterator[Deployment]:
        """This deployment and its modules, with theirs."""
        yield self
        for module in self.modules.values():
            yield from module.deployments()

    def all_findings(self) -> list[str]:
        return [*self.findings, *(f for m in self.modules.values() for f in m.all_findings())]

    # --- Parameters and symbols

    def _take(self, given: dict[str, Any]) -> None:
        for name in given.keys() - self.file.parameters.keys():
            self.find(f"{name}: no such parameter")
        self.values.update({name: given[name] for name in given if name in self.file.parameters})
        for name, parameter in self.file.parameters.items():
            if name not in given and parameter.value is None:
                self.find(f"{name}: not given")
            value = self.value(name)
            self._typed(name, parameter.words[1], value)
            choices = re.findall(r"'(\w+)'", parameter.decorators)
            if "@allowed" in parameter.decorators and value not in (*choices, UNKNOWN):
                self.find(f"{name}: {value!r} is none of {', '.join(choices)}")

    def _typed(self, name: str, kind: str, value: Any) -> None:
        if kind not in TYPES:
            self.find(f"{name}: {kind} is no type")
        elif value is not UNKNOWN and type(value) is not TYPES[kind]:
            self.find(f"{name}: {value!r} is no {kind}")

    def value(self, name: str) -> Any:
        """What a symbol stands for."""
        if name not in self.values:
            self.values[name] = UNKNOWN  # what refers to itself is not known
            if name in self.file.resources:
                self.values[name] = self._declared(name)
            elif name in self.file.modules:
                self.values[name] = self._module(name)
            else:
                found = self.file.variables.get(name) or self.file.parameters.get(name)
                if found and found.value:
                    self.values[name] = self.evaluate(found.value, {})
        return self.values[name]

    # --- Resources and modules

    def _rounds(self, value: Expression) -> list[tuple[Expression, Locals]]:
        """The object of a resource, and in a loop each round's, whether its condition holds or not."""
        return list(self._loop(value, {})) if value.kind == "for_statement" else [(value, {})]

    def _declared(self, name: str) -> Any:
        """A resource, or the resources of a loop; their bodies are not evaluated yet."""
        found = self.file.resources[name]
        kind, _, version = found.words[1].partition("@")
        made = []
        for value, local in self._rounds(found.value):  # type: ignore[arg-type]
            pairs = _object(value).pairs()
            beyond = pairs.keys() - {"name", "parent", "scope"} if found.existing else set()
            if beyond or "name" not in pairs:
                self.find(f"{name}: {', '.join(pairs)} is not what tells which one it is")
            called, parent, scope = (
                self.evaluate(pairs[key], local) if key in pairs else None
                for key in ("name", "parent", "scope")
            )
            made.append(Resource(
                name, kind, version, called, self.base,
                parent if isinstance(parent, Resource) else None,
                scope if isinstance(scope, Resource) else None, found.existing, found.decorators,
            ))  # fmt: skip
        looped = found.value and found.value.kind == "for_statement"
        return made if looped else made[0]

    def _made(self, name: str) -> list[Resource]:
        """The resources of a declaration whose condition holds, with their bodies."""
        value = self.value(name)
        rounds = self._rounds(self.file.resources[name].value)  # type: ignore[arg-type]
        found = []
        for resource, (body, local) in zip(value if isinstance(value, list) else [value], rounds):
            if self._holds(body, local):
                given = self.evaluate(_object(body), local)
                resource.body = {key: given[key] for key in given if key not in OWN}
                found.append(resource)
        return found

    def _module(self, name: str) -> Any:
        found = self.file.modules[name]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), found.words[1]))
        if path not in self.files:
            self.find(f"{name}: {path} is not there")
            return UNKNOWN
        inner = File(self.files[path], path)
        if self._holds(found.value, {}):  # type: ignore[arg-type]
            body = _object(found.value).pairs()  # type: ignore[arg-type]
            made = {key: self.evaluate(value, {}) for key, value in body.items()}
            in_group = self.file.scope == "resourceGroup"  # and so are its modules, unless they say
            needed = {"name"} if in_group else {"name", "scope"}
            for key in sorted((needed - made.keys()) | (made.keys() - MODULE)):
                self.find(f"{name}: {key}: missing, or not a module's")
            scope = made.get("scope", {"id": self.base} if in_group else None)
            group = scope["id"] if isinstance(scope, dict) else getattr(scope, "id", None)
            if not group or inner.scope != "resourceGroup":
                self.find(f"{name}.scope: not the resource group that its file is for")
                return UNKNOWN
            self.module_names[name] = made.get("name")
            self.modules[name] = Deployment(self.files, path, made.get("params", {}), group)
        return Module(set(inner.outputs), self.modules.get(name))

    def _holds(self, value: Expression, local: Locals) -> bool:
        return value.kind != "if_statement" or self.evaluate(value.parts[0], local) is not False

    # --- Values

    def _loop(self, node: Expression, local: Locals) -> Iterator[tuple[Expression, Locals]]:
        variables, over, body = node.parts
        names = re.findall(r"\w+", variables.text)
        values = self.evaluate(over, local)
        for index, value in enumerate(values if isinstance(values, list) else []):
            yield body, {**local, **dict(zip(names, (value, index)))}

    def evaluate(self, node: Expression, local: Locals) -> Any:
        """The plain value of an expression, where these local symbols have these values."""
        parts = node.parts
        match node.kind:
            case "string":
                values = [self.evaluate(part, local) for part in parts]
                return UNKNOWN if UNKNOWN in values else "".join(map(str, values))
            case "string_content":
                return node.text
            case "escape_sequence":
                return node.text[1:]
            case "number":
                return int(node.text)
            case "boolean":
                return node.text == "true"
            case "null":
                return None
            case "array":
                return [self.evaluate(part, local) for part in parts]
            case "object":
                return {self._key(key, local): self.evaluate(value, local)
                        for key, value in (part.parts for part in parts)}  # fmt: skip
            case "identifier":
                return local[node.text] if node.text in local else self.value(node.text)
            case "parenthesized" | "interpolation":
                return self.evaluate(parts[0], local)
            case "for_statement":
                return [self.evaluate(body, names) for body, names in self._loop(node, local)]
            case "lambda":
                symbol, body = parts
                return lambda value: self.evaluate(body, {**local, symbol.text: value})
            case "ternary":
                holds = self.evaluate(parts[0], local)
                return holds if holds is UNKNOWN else self.evaluate(parts[2 - bool(holds)], local)
            case "unary":
                value = self.evaluate(parts[0], local)
                return UNKNOWN if value is UNKNOWN else not value
            case "binary":
                return self._binary(node, local)
            case "member" | "subscript":
                return self._member(node, local)
            case "call":
                return self._call(parts[0].text, [self.evaluate(p, local) for p in parts[1].parts])
        self.find(f"{node.kind} is not understood: {node.text[:60]}")
        return UNKNOWN

    def _key(self, key: Expression, local: Locals) -> Any:
        return key.text if key.kind == "identifier" else self.evaluate(key, local)

    def _call(self, name: str, given: list[Any]) -> Any:
        if name not in FUNCTIONS or UNKNOWN in given:
            return UNKNOWN
        try:
            return FUNCTIONS[name](self, *given)
        except (AttributeError, KeyError, TypeError) as error:
            self.find(f"{name}: {error}")
            return UNKNOWN

    def _binary(self, node: Expression, local: Locals) -> Any:
        left = self.evaluate(node.parts[0], local)
        if node.sign == "??":
            return self.evaluate(node.parts[1], local) if left is None else left
        if node.sign in ("&&", "||") and left is (node.sign == "||"):
            return left
        right = self.evaluate(node.parts[1], local)
        if UNKNOWN in (left, right):
            return UNKNOWN
        return right if node.sign in ("&&", "||") else OPERATORS[node.sign](left, right)

    def _member(self, node: Expression, local: Locals) -> Any:
        below, last = node.parts
        value, safe = self.evaluate(below, local), "?" in node.sign
        key = last.text if node.kind == "member" else self.evaluate(last, local)
        if value is UNKNOWN or key is UNKNOWN:
            return UNKNOWN
        if safe and (value is None or isinstance(value, dict)):
            return (value or {}).get(key)
        if isinstance(value, Resource) and key in READABLE:
            return getattr(value, key) if key in ("id", "name") else Inside(value)
        if isinstance(value, Inside):
            return value.read(key)
        if isinstance(value, Module) and key == "outputs":
            return value.outputs()
        try:
            return value[key]
        except (IndexError, KeyError, TypeError):
            self.find(f"{node.text}: not there")
            return UNKNOWN


def _object(value: Expression) -> Expression:
    return value.parts[-1] if value.kind == "if_statement" else value


def deployment(files: dict[str, str], path: str) -> Deployment:
    """What the deployment of a parameters file makes; `files` are a project's, by their path."""
    given = Deployment(files, path, {}, SUBSCRIPTION)
    using = posixpath.join(posixpath.dirname(path), given.file.using)
    wanted = File(files[using], using).parameters
    values = {name: given.value(name) for name in given.file.variables if name in wanted}
    found = Deployment(files, using, values, SUBSCRIPTION)
    found.findings += given.findings
    return found
