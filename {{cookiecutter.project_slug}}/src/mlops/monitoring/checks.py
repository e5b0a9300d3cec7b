"""What is wrong in `monitoring/monitor.yml`, in itself, for each environment, and to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlops.contract import Contract
from mlops.documents import Document, Finding, InvalidFile, Keys, did_you_mean, read_yaml
from mlops.monitoring.definition import Monitor, Signal, SignalData, monitor_file, read_monitor
from mlops.project import Environment, Project

ANSWER = "prediction"
"""The column of the model's answer, where it is collected and in the reference."""

# What stands in the file for what is only known later: in names, the deployment's or the version's;
# in names of columns, the contract's target or id.
SET_BY_RELEASE, SET_FROM_CONTRACT = "set-by-release", "set-from-contract"

# What Azure ML runs monitors on.
COMPUTE = {
    "instance_type": tuple(f"standard_e{cores}s_v3" for cores in (4, 8, 16, 32, 64)),
    "runtime_version": ("3.4", "3.5"),
}


def check_monitor(
    project: Project, environments: list[Environment], contract: Contract | None
) -> list[Finding]:
    """All that is wrong in the definition; a project of an older release has none."""
    file = monitor_file(project)
    if not file.is_file():
        return []
    try:
        document = read_yaml(file)
    except InvalidFile as error:
        return error.findings
    findings: list[Finding] = []
    for environment in environments:
        monitor, wrong = read_monitor(document, environment)
        findings += wrong
        if monitor:
            findings += _compute(document)
        if monitor and contract:
            findings += _unlike_the_contract(document, monitor, contract)
    return list(dict.fromkeys(findings))


def _compute(document: Document) -> Iterator[Finding]:
    """That Azure ML has the machines, and its SDK knows the Spark."""
    data: Any = document.data
    given = data["create_monitor"].get("compute")
    for key, known in COMPUTE.items():
        value = given.get(key) if isinstance(given, dict) else None
        if str(value).lower() not in known:
            what = f"`compute.{key}` is {value}; write one of {', '.join(known)}"
            yield document.finding(what, "create_monitor", "compute", key)


def _unlike_the_contract(
    document: Document, monitor: Monitor, contract: Contract
) -> Iterator[Finding]:
    data: Any = document.data
    target = data["create_monitor"].get("monitoring_target") or {}
    task = str(target.get("ml_task", contract.problem_type)).lower()
    if task != contract.problem_type:
        problem = f"`ml_task` is {task}, and data/contract.yml says {contract.problem_type}"
        yield document.finding(problem, "create_monitor", "monitoring_target", "ml_task")
    for name, signal in monitor.signals.items():
        keys = ("create_monitor", "monitoring_signals", name)
        yield from _features(document, keys, signal, contract)
        yield from _columns(document, keys, signal, contract)
        if signal.type == "model_performance":
            for other in sorted(set(signal.metric_thresholds) - {contract.problem_type}):
                what = f"`{other}`: data/contract.yml says {contract.problem_type}"
                yield document.finding(what, *keys, "metric_thresholds", other)


def _features(
    document: Document, keys: Keys, signal: Signal, contract: Contract
) -> Iterator[Finding]:
    listed = signal.features if isinstance(signal.features, tuple) else ()
    named: list[tuple[Keys, str]] = [
        *((("features", place), feature) for place, feature in enumerate(listed)),
        *(
            (("feature_type_override", feature), feature)
            for feature in signal.feature_type_override
        ),
    ]
    for at, feature in named:
        if feature not in contract.features:
            what = f"`{feature}` is no feature{did_you_mean(feature, contract.features)}"
            yield document.finding(what, *keys, *at)


def _columns(
    document: Document, keys: Keys, signal: Signal, contract: Contract
) -> Iterator[Finding]:
    """That the columns are there: what is collected is the answer, what it is joined by is the id.

    What somebody else's data holds is not known here.
    """
    places: list[tuple[Keys, SignalData]] = []
    for place, data in enumerate(signal.production):
        several = (*keys, "production_data", place) in document.lines
        places.append((("production_data", place) if several else ("production_data",), data))
    if signal.reference_data:
        places.append((("reference_data",), signal.reference_data))
    truth = signal.type == "model_performance"
    for at, data in places:
        if not truth and SET_BY_RELEASE not in str(data.input_data.get("path")):
            continue
        target = contract.target if truth and at == ("reference_data",) else ANSWER
        for key, known in (("target_column", target), ("join_column", contract.id)):
            column = data.data_column_names.get(key)
            if column not in (None, known, SET_FROM_CONTRACT):
                what = f"`{key}` is `{column}`, but {_should_be(key, known)}"
                yield document.finding(what, *keys, *at, "data_column_names", key)


def _should_be(key: str, known: str | None) -> str:
    if known is None:
        return "data/contract.yml names no `id` to join by"
    if known == ANSWER:
        return f"the model's answers are in the column `{ANSWER}`"
    what = "target" if key == "target_column" else "id"
    return f"the {what} in data/contract.yml is `{known}`; write that, or {SET_FROM_CONTRACT}"
