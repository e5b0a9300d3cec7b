"""The quality gate: floors, the comparison with the champion, and floors per slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mlops.contract import Contract
from mlops.decisions import Check
from mlops.documents import Finding, did_you_mean
from mlops.metrics import METRICS, Metric, paired_difference
from mlops.project import Environment
from mlops.settings import GateSettings

if TYPE_CHECKING:
    import pandas as pd


def check_settings(environment: Environment, contract: Contract) -> list[Finding]:
    """What the gate's settings say that the contract's problem type does not know."""
    gate, known = environment.settings.gate, METRICS[contract.problem_type]
    named: list[tuple[str, tuple[str, ...]]] = [
        *((name, ("gate", "floors", name)) for name in gate.floors),
        *((name, ("gate", "slices", "floors", name)) for name in gate.slices.floors),
        (gate.champion.metric, ("gate", "champion", "metric")),
    ]
    return [
        environment.document.finding(
            f"`{name}` is no metric of a {contract.problem_type}{did_you_mean(name, known)}", *keys
        )
        for name, keys in named
        if name not in known
    ]


def absolute_checks(
    gate: GateSettings, contract: Contract, evaluation: dict[str, Any]
) -> list[Check]:
    """The floors, over all held-out rows and in each slice that is large enough."""
    known = METRICS[contract.problem_type]
    checks = []
    for name, floor in gate.floors.items():
        value = evaluation["metrics"][name]
        low, high = evaluation["intervals"][name]
        checks.append(
            Check(
                rule=name,
                value=value,
                limit=floor,
                comparison=_side(known[name]),
                passed=not known[name].worse(_number(value), floor),
                detail=f"95 % interval {_number(low):.4g} to {_number(high):.4g}",
            )
        )
    for part, result in evaluation["slices"].items():
        if result["rows"] < gate.slices.minimum_rows:
            continue
        for name, floor in gate.slices.floors.items():
            value = result["metrics"][name]
            undefined = value is None or value != value
            checks.append(
                Check(
                    rule=f"{name} where {part}",
                    value=value,
                    limit=floor,
                    comparison=_side(known[name]),
                    # A slice that holds one class has no ROC AUC; that says nothing against a model.
                    passed=undefined or not known[name].worse(value, floor),
                    detail=f"{result['rows']} rows" + (", not defined here" if undefined else ""),
                )
            )
    return checks


def champion_check(
    gate: GateSettings,
    contract: Contract,
    truth: pd.Series,
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    champion_name: str,
) -> Check:
    """That the challenger does not fall behind the champion by more than the margin.

    A non-inferiority test: the one-sided lower confidence bound of the difference, by a paired
    bootstrap on the same held-out rows, must not lie below minus the margin.
    """
    rule = gate.champion
    metric = METRICS[contract.problem_type][rule.metric]
    difference, bound = paired_difference(
        contract, metric, truth, challenger, champion, rule.confidence
    )
    return Check(
        rule=f"{rule.metric} against {champion_name}, lower bound of the difference",
        value=bound,
        limit=-rule.margin,
        comparison="at least",
        passed=bound >= -rule.margin,
        detail=(
            f"difference {difference:+.4g}, positive is better; {100 * rule.confidence:g} % confidence,"
            f" {len(truth)} held-out rows"
        ),
    )


def incomparable(
    contract: Contract,
    lineage: dict[str, str],
    champion: Contract,
    champion_lineage: dict[str, str],
) -> str:
    """Why a challenger's held-out rows say nothing about the champion; empty if they do."""
    missing = sorted(set(champion.features) - set(contract.features))
    if missing:
        return f"it needs {', '.join(missing)}, which the contract no longer has"
    if (contract.target, contract.classes) != (champion.target, champion.classes):
        return "it predicts another target or other classes"
    if lineage.get("split") != champion_lineage.get("split"):
        # It may have been trained on rows that are held out now.
        return (
            f"it held out other rows: {champion_lineage.get('split')}, now {lineage.get('split')}"
        )
    return ""


def incomparable_check(gate: GateSettings, champion_name: str, reason: str) -> Check:
    """What stands in the record where the champion cannot be compared with."""
    accepted = gate.champion.incomparable == "accept"
    advice = "" if accepted else "; to go on without it, set gate.champion.incomparable: accept"
    return Check(
        rule=f"{gate.champion.metric} against {champion_name}",
        value="not comparable",
        passed=accepted,
        detail=reason + advice,
    )


def no_champion_check(gate: GateSettings) -> Check:
    """What stands in the record where there is no champion to compare with."""
    return Check(
        rule=f"{gate.champion.metric} against the champion", value="no champion yet", passed=True
    )


def _side(metric: Metric) -> Literal["at least", "at most"]:
    return "at least" if metric.greater_is_better else "at most"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
