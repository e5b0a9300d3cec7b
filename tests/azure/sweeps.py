"""The trials of a sweep, and which of them is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.azure.runs import Run

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


def trials_of(step: dict[str, Any]) -> list[dict[str, Any]]:
    """Two trials: the first and the last value of each parameter."""
    space = step.get("search_space") or step.get("searchSpace") or {}
    chosen = {name: _ends(parameter) for name, parameter in space.items()}
    return [{name: pair[number] for name, pair in chosen.items()} for number in (0, 1)]


def _ends(parameter: Any) -> tuple[Any, Any]:
    if isinstance(parameter, list):  # as the SDK serialises it: [kind, [values]]
        kind, values = parameter
        values = values[0] if kind == "choice" else values
        return values[0], values[-1]
    if "values" in parameter:
        return parameter["values"][0], parameter["values"][-1]
    return parameter["min_value"], parameter["max_value"]


def score_of(azure: StandIn, trial: Run, step: dict[str, Any]) -> float:
    """How good a trial was: the higher, the better."""
    goal, metrics = step["objective"], azure.tracking.metrics(trial.workspace, trial.name)
    value = float(metrics[goal.get("primary_metric") or goal["primaryMetric"]])
    return value if goal["goal"].lower() == "maximize" else -value
