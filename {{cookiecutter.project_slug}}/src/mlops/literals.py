"""Whether a value is one of a component's declared input."""

from __future__ import annotations

from typing import Any

LITERAL_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, int, float, bool),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}


def literal_problem(value: Any, declared: dict[str, Any]) -> str:
    """Why a literal is no value of a declared input; empty if it is one, or the input a path."""
    kind = str(declared.get("type"))
    fits = LITERAL_TYPES.get(kind)
    if fits is None:
        return ""
    if not isinstance(value, fits) or (isinstance(value, bool) and bool not in fits):
        return f"must be of type {kind}, not {value!r}"
    if kind in ("number", "integer"):
        if "min" in declared and value < declared["min"]:
            return f"must be at least {declared['min']}, not {value!r}"
        if "max" in declared and value > declared["max"]:
            return f"must be at most {declared['max']}, not {value!r}"
    if "enum" in declared and value not in declared["enum"]:
        return f"must be one of {', '.join(map(str, declared['enum']))}, not {value!r}"
    return ""
