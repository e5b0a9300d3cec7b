"""The checks of a sweep step: that its search space fits the inputs of its trial."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlops.documents import Document, Finding, did_you_mean
from mlops.literals import literal_problem
from mlops.pipeline import PATH_TYPES, Step
from mlops.sweep import Choice, Distribution, Randint, Sweep

# What Azure's samplers take; random sampling takes all.
TAKEN = {"grid": {"choice", "randint"}, "bayesian": {"choice", "uniform", "quniform"}}


def inspect_sweep(document: Document, step: Step, sweep: Sweep) -> Iterator[Finding]:
    """What is wrong with a search that can be read."""
    declared = step.component.ports("inputs")
    for name, part in sweep.space.items():
        at = ("jobs", step.name, "search_space", name)
        if name not in declared:
            hint = did_you_mean(name, declared)
            problem = f"the trial of step `{step.name}` has no input `{name}`{hint}"
            yield document.finding(problem, *at)
            continue
        if name in step.inputs:
            problem = f"`{name}` is searched: take it out of `inputs`"
            yield document.finding(problem, "jobs", step.name, "inputs", name)
        taken = TAKEN.get(sweep.sampling.type, {part.type})
        if part.type not in taken:
            yield document.finding(
                f"`{name}`: {sweep.sampling.type} sampling does not take `{part.type}`; "
                f"write one of {', '.join(sorted(taken))}, or `sampling_algorithm: random`", *at,
            )  # fmt: skip
        elif problem := _misfit(part, declared[name]):
            yield document.finding(f"`{name}` {problem}", *at)
    limits = sweep.limits
    if limits.max_concurrent_trials and limits.max_concurrent_trials > limits.max_total_trials:
        yield document.finding(
            "`max_concurrent_trials` is greater than `max_total_trials`",
            "jobs", step.name, "limits", "max_concurrent_trials",
        )  # fmt: skip


def _misfit(part: Distribution, declared: dict[str, Any]) -> str:
    """Why not all that can be drawn is a value of the input; empty if it is."""
    kind = declared.get("type")
    if kind in PATH_TYPES:
        return "is a path, and cannot be searched"
    if isinstance(part, Choice):
        return next(filter(None, (literal_problem(value, declared) for value in part.values)), "")
    if kind not in ("number", "integer") or "enum" in declared:
        return f"is searched by `{part.type}`; write `choice` with values that it may have"
    if kind == "integer" and not isinstance(part, Randint) and not part.is_whole:
        return (
            f"must be of type integer, and `{part.type}` gives fractions; write `choice`, "
            "`randint`, or a type such as `quniform` with a whole `q`"
        )
    if part.bounds is None:
        return ""
    for value in part.bounds:
        if problem := literal_problem(value, declared):
            log = (
                f" (`{part.type}` takes the logarithm of the bounds)" if "log" in part.type else ""
            )
            return f"{problem}{log}"
    return ""
