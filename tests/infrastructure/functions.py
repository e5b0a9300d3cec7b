"""The functions and operators of Bicep that the infrastructure uses, on plain values."""

from __future__ import annotations

import hashlib
import json
import operator
import posixpath
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from ..specs import UNKNOWN

if TYPE_CHECKING:
    from .bicep import Deployment

SUBSCRIPTION = "/subscriptions/00000000-1111-2222-3333-444444444444"


def _union(_: Deployment, *given: Any) -> Any:
    if isinstance(given[0], dict):
        return {key: value for values in given for key, value in values.items()}
    every = [value for values in given for value in values]
    return [value for index, value in enumerate(every) if value not in every[:index]]


def _text(at: Deployment, path: str) -> str:
    return at.files[posixpath.normpath(f"{posixpath.dirname(at.path)}/{path}")]


def _group(subscription: str, name: str) -> dict[str, Any]:
    group = f"/subscriptions/{subscription}/resourceGroups/{name}"
    return {"id": group, "name": name, "tags": UNKNOWN}


def _hash(_: Deployment, *given: str) -> str:
    """13 letters and digits, as `uniqueString` makes them; not the same ones."""
    return hashlib.sha256("|".join(given).encode()).hexdigest()[:13]


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip

# The functions of Bicep that are used; each is given first the deployment that calls it.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "any": lambda _, value: value,
    "concat": lambda _, *lists: [value for values in lists for value in values],
    "contains": lambda _, whole, part: part in whole,
    "empty": lambda _, value: not value,
    "endsWith": lambda _, text, end: text.endswith(end),
    "environment": lambda _: {"suffixes": {"storage": "core.windows.net"}},
    "filter": lambda _, values, holds: [value for value in values if holds(value)],
    "first": lambda _, values: values[0] if values else None,
    "flatten": lambda _, lists: [value for values in lists for value in values],
    "guid": lambda _, *given: str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(given))),
    "indexOf": lambda _, values, value: values.index(value) if value in values else -1,
    "items": lambda _, given: [{"key": key, "value": given[key]} for key in sorted(given)],
    "length": lambda _, values: len(values),
    "listCallbackUrl": lambda _, trigger, version: {"value": f"the address of {trigger}"},
    "loadJsonContent": lambda at, path: json.loads(_text(at, path)),
    "loadTextContent": lambda at, path: _text(at, path),
    "loadYamlContent": lambda at, path: yaml.safe_load(_text(at, path)),
    "map": lambda _, values, made: [made(value) for value in values],
    "mapValues": lambda _, given, made: {key: made(value) for key, value in given.items()},
    "replace": lambda _, text, old, new: text.replace(old, new),
    "resourceGroup": lambda at, *given: _group(*given) if given else _group(*at.base.split("/")[2::2]),
    "string": lambda _, value: str(value),
    "subscription": lambda _: {
        "id": SUBSCRIPTION, "subscriptionId": SUBSCRIPTION[15:], "tenantId": SUBSCRIPTION[15:],
    },
    "subscriptionResourceId": lambda _, kind, name: f"{SUBSCRIPTION}/providers/{kind}/{name}",
    "take": lambda _, value, count: value[:count],
    "toLower": lambda _, text: text.lower(),
    "union": _union,
    "uniqueString": _hash,
    "utcNow": lambda _, form: form.replace("yyyy", "2026").replace("MM", "11"),
}  # fmt: skip
