"""The functions and comparisons of the two expression languages.

Sources: GitHub, "Evaluate expressions in workflows and actions"; Azure Pipelines, "Expressions".
"""

from __future__ import annotations

import json
import re
from typing import Any

from .expressions import ExpressionError, Language, number


def _number_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


# --- GitHub --------------------------------------------------------------------------------------


def github_text(value: Any) -> str:
    """A value as GitHub writes it into a string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _number_text(value)
    return value if isinstance(value, str) else json.dumps(value, indent=2)


def _github_truth(value: Any) -> bool:
    return not (value is None or value is False or value in (0, "") or value != value)


def _github_equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
        return left is right
    return left is right if left is right is None else number(left) == number(right)


def _format(pattern: str, *values: Any) -> str:
    text = re.sub(r"\{(\d+)\}", lambda m: github_text(values[int(m[1])]), pattern)
    return text.replace("{{", "{").replace("}}", "}")


def _contains(whole: Any, item: Any) -> bool:
    if isinstance(whole, list):
        return any(_github_equal(item, one) for one in whole)
    return github_text(item).lower() in github_text(whole).lower()


GITHUB = Language(
    operators=True,
    functions={
        "contains": _contains,
        "startsWith": lambda a, b: github_text(a).lower().startswith(github_text(b).lower()),
        "endsWith": lambda a, b: github_text(a).lower().endswith(github_text(b).lower()),
        "format": _format,
        "join": lambda a, by=",": by.join(map(github_text, a if isinstance(a, list) else [a])),
        "toJSON": lambda value: json.dumps(value, indent=2),
        "fromJSON": json.loads,
    },
    text=github_text,
    truth=_github_truth,
    equal=_github_equal,
)

# --- Azure Pipelines -----------------------------------------------------------------------------


def azure_text(value: Any) -> str:
    """A value as Azure Pipelines writes it into a string."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (dict, list)):
        raise ExpressionError(f"{value!r} cannot be written as a string; there is convertToJson")
    return github_text(value)


def _azure_truth(value: Any) -> bool:
    return not (value is None or value is False or value in (0, ""))


def _azure_equal(left: Any, right: Any) -> bool:
    """The right side is cast to the type of the left; strings compare without their case."""
    if left is None:
        return right is None or right == ""
    if isinstance(left, bool):
        return left == (right.lower() != "false" if isinstance(right, str) else _azure_truth(right))
    if isinstance(left, (int, float)):
        return number(left) == number(right)
    return azure_text(left).lower() == azure_text(right).lower()


def _azure_contains(whole: Any, item: Any) -> bool:
    values = whole.values() if isinstance(whole, dict) else whole
    return any(_azure_equal(value, item) for value in values)


AZURE = Language(
    operators=False,
    functions={
        "and": lambda *values: all(map(_azure_truth, values)),
        "or": lambda *values: any(map(_azure_truth, values)),
        "not": lambda value: not _azure_truth(value),
        "xor": lambda a, b: _azure_truth(a) != _azure_truth(b),
        "eq": _azure_equal,
        "ne": lambda a, b: not _azure_equal(a, b),
        "gt": lambda a, b: number(a) > number(b),
        "ge": lambda a, b: number(a) >= number(b),
        "lt": lambda a, b: number(a) < number(b),
        "le": lambda a, b: number(a) <= number(b),
        "in": lambda value, *others: any(_azure_equal(value, other) for other in others),
        "notIn": lambda value, *others: not any(_azure_equal(value, other) for other in others),
        "contains": lambda a, b: azure_text(b).lower() in azure_text(a).lower(),
        "containsValue": _azure_contains,
        "startsWith": lambda a, b: azure_text(a).lower().startswith(azure_text(b).lower()),
        "endsWith": lambda a, b: azure_text(a).lower().endswith(azure_text(b).lower()),
        "coalesce": lambda *values: next((v for v in values if v not in (None, "")), None),
        "format": _format,
        "join": lambda by, values: by.join(map(azure_text, values)),
        "split": lambda text, by: azure_text(text).split(by),
        "replace": lambda text, old, new: azure_text(text).replace(old, new),
        "lower": lambda text: azure_text(text).lower(),
        "upper": lambda text: azure_text(text).upper(),
        "trim": lambda text: azure_text(text).strip(),
        "length": len,
        "convertToJson": lambda value: json.dumps(value, indent=2),
        "iif": lambda condition, then, other: then if _azure_truth(condition) else other,
    },
    text=azure_text,
    truth=_azure_truth,
    equal=_azure_equal,
)
