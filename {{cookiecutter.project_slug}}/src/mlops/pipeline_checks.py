"""The checks of a pipeline's graph that azure-ai-ml leaves out.

azure-ai-ml loads a pipeline without looking at how its steps fit together. Found here: unknown
and unbound inputs, references to what is not there, cycles, misspelled keys, missing paths.
Source: the CLI (v2) pipeline job, sweep job and command component YAML references of Azure
Machine Learning.
"""

from __future__ import annotations

import re
from graphlib import CycleError
from pathlib import Path
from typing import Any

from mlops.distributed import inspect_distribution
from mlops.documents import Document, Finding, InvalidFile, did_you_mean
from mlops.literals import LITERAL_TYPES, literal_problem
from mlops.pipeline import (
    OPTIONAL,
    PARENT_INPUT,
    PATH_TYPES,
    PLACEHOLDER,
    STEP_OUTPUT,
    Component,
    Pipeline,
    Step,
    is_local_path,
    literal,
    read_pipeline,
)
from mlops.sweep_checks import inspect_sweep

EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
PIPELINE_KEYS = {
    "$schema", "name", "type", "display_name", "experiment_name", "description", "tags",
    "settings", "compute", "inputs", "outputs", "jobs", "identity", "component",
}  # fmt: skip
STEP_KEYS = {
    "type", "component", "inputs", "outputs", "compute", "environment", "environment_variables",
    "resources", "limits", "distribution", "display_name", "description", "tags", "identity",
    "queue_settings", "services", "properties", "name", "code", "command",
}  # fmt: skip
SWEEP_KEYS = STEP_KEYS - {
    "component", "code", "command", "environment", "environment_variables", "distribution",
} | {
    "trial", "sampling_algorithm", "search_space", "objective", "limits", "early_termination",
}  # fmt: skip
COMPONENT_KEYS = {
    "$schema", "type", "name", "version", "display_name", "description", "tags", "command", "code",
    "environment", "distribution", "resources", "inputs", "outputs", "is_deterministic",
    "additional_includes", "properties",
}  # fmt: skip


def load_pipeline(path: Path) -> Pipeline:
    """Read a pipeline and the components that it names.

    Raises:
        InvalidFile: with a finding for everything in it that does not fit.
    """
    pipeline, findings = inspect_pipeline(path)
    if findings:
        raise InvalidFile(findings)
    return pipeline


def inspect_pipeline(path: Path) -> tuple[Pipeline, list[Finding]]:
    """The pipeline as far as it can be read, and everything in it that does not fit."""
    pipeline, findings = read_pipeline(path)
    document = pipeline.document
    if not isinstance(document.data, dict):
        return pipeline, findings
    findings += _unknown_keys(document, document.data, PIPELINE_KEYS)
    for name, spec in pipeline.inputs.items():
        findings += _missing_path(document, spec, "inputs", name, "path")
    for step in pipeline.steps.values():
        jobs = {str(name): job for name, job in document.data["jobs"].items()}
        job, at = jobs[step.name], ("jobs", step.name)
        known = SWEEP_KEYS if job.get("type") == "sweep" else STEP_KEYS
        findings += _unknown_keys(document, job, known, *at)
        findings += inspect_distribution(document, job, *at)
        findings += _inspect_bindings(pipeline, step, set(jobs))
        findings += inspect_sweep(document, step, step.sweep) if step.sweep else ()
        findings += inspect_component(step.component)
    findings += _inspect_cycles(pipeline)
    given = {name: literal(spec) for name, spec in pipeline.inputs.items()}
    findings += [
        document.finding(f"`{name}` {problem}", "inputs", name)
        for name, problem in inspect_literals(pipeline, given).items()
    ]
    return pipeline, list(dict.fromkeys(findings))


def inspect_component(component: Component) -> list[Finding]:
    """What is wrong inside one component's file."""
    document, data = component.document, component.data
    findings = _unknown_keys(document, data, COMPONENT_KEYS)
    findings += inspect_distribution(document, data)
    for key in ("name", "command", "environment"):
        if not data.get(key):
            findings.append(document.finding(f"`{key}` is missing"))
    if not component.code.is_dir():
        findings.append(document.finding(f"the folder {data.get('code')} is missing", "code"))
    environment = str(data.get("environment") or "")
    if environment.startswith("file:"):
        file = document.path.parent / environment.removeprefix("file:")
        if not file.is_file():
            findings.append(
                document.finding(f"the file {file.as_posix()} is missing", "environment")
            )
    for kind in ("inputs", "outputs"):
        for name, spec in component.ports(kind).items():
            known = PATH_TYPES if kind == "outputs" else PATH_TYPES | LITERAL_TYPES.keys()
            if spec.get("type") not in known:
                findings.append(
                    document.finding(
                        f"`{spec.get('type')}` is no type"
                        f"{did_you_mean(str(spec.get('type')), known)}",
                        kind,
                        name,
                    )
                )
    for kind, name in PLACEHOLDER.findall(OPTIONAL.sub("", component.command)):
        if kind == "inputs" and component.ports("inputs").get(name, {}).get("optional"):
            problem = f"write `$[[--{name} ${{{{inputs.{name}}}}}]]`: `{name}` is optional"
            findings.append(document.finding(problem, "command"))
    for expression in EXPRESSION.findall(component.command):
        match = PLACEHOLDER.fullmatch(expression)
        if not match:
            problem = "write `${{inputs.NAME}}` or `${{outputs.NAME}}`"
            findings.append(document.finding(f"`{expression}`: {problem}", "command"))
        elif match[2] not in component.ports(match[1]):
            hint = did_you_mean(match[2], component.ports(match[1]))
            findings.append(
                document.finding(f"the command names {match[1]} `{match[2]}`{hint}", "command")
            )
    return findings


def _inspect_bindings(pipeline: Pipeline, step: Step, names: set[str]) -> list[Finding]:
    document, declared = pipeline.document, step.component.ports("inputs")
    searched = document.data["jobs"].get(step.name, {}).get("search_space") or ()
    findings = []

    def report(problem: str, *keys: str) -> None:
        findings.append(document.finding(problem, "jobs", step.name, "inputs", *keys))

    for name, spec in declared.items():
        bound = name in step.inputs or name in searched
        if not bound and "default" not in spec and not spec.get("optional"):
            report(f"step `{step.name}` must bind the input `{name}`")
    for name, value in step.inputs.items():
        if name not in declared:
            hint = did_you_mean(name, declared)
            report(f"the component of step `{step.name}` has no input `{name}`{hint}", name)
            continue
        text = str(value).strip()
        if match := PARENT_INPUT.fullmatch(text):
            if match[1] not in pipeline.inputs:
                hint = did_you_mean(match[1], pipeline.inputs)
                report(f"the pipeline has no input `{match[1]}`{hint}", name)
        elif match := STEP_OUTPUT.fullmatch(text):
            if match[1] not in names:
                report(f"there is no step `{match[1]}`{did_you_mean(match[1], names)}", name)
            elif match[1] in pipeline.steps:
                outputs = pipeline.steps[match[1]].component.ports("outputs")
                if match[2] not in outputs:
                    hint = did_you_mean(match[2], outputs)
                    report(f"step `{match[1]}` has no output `{match[2]}`{hint}", name)
        elif EXPRESSION.search(text):
            report(
                f"`{text}`: write `${{{{parent.inputs.NAME}}}}`"
                " or `${{parent.jobs.STEP.outputs.NAME}}`",
                name,
            )
        else:
            if problem := literal_problem(value, declared[name]):
                report(f"the input `{name}` {problem}", name)
            is_path = declared[name].get("type") in PATH_TYPES
            findings += _missing_path(document, {"path": value} if is_path else None,
                                      "jobs", step.name, "inputs", name)  # fmt: skip
    return findings


def inspect_literals(pipeline: Pipeline, inputs: dict[str, Any]) -> dict[str, str]:
    """What is wrong with values for the pipeline's inputs, by what the steps' components declare."""
    problems: dict[str, str] = {}
    for step in pipeline.steps.values():
        for name, value in step.inputs.items():
            match = PARENT_INPUT.fullmatch(str(value).strip())
            declared = step.component.ports("inputs").get(name)
            if match and declared and match[1] in inputs:
                problem = literal_problem(inputs[match[1]], declared)
                if problem:
                    problems[match[1]] = f"{problem} ({step.component.document.path.name})"
    return problems


def _inspect_cycles(pipeline: Pipeline) -> list[Finding]:
    try:
        pipeline.order()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        return [pipeline.document.finding(f"these steps wait for each other: {cycle}", "jobs")]
    return []


def _missing_path(document: Document, spec: Any, *keys: str) -> list[Finding]:
    if is_local_path(spec) and not (document.path.parent / spec["path"]).exists():
        return [document.finding(f"the path {spec['path']} is missing", *keys)]
    return []


def _unknown_keys(
    document: Document, data: dict[str, Any], known: set[str], *keys: str
) -> list[Finding]:
    return [
        document.finding(f"`{key}` is no key here{did_you_mean(str(key), known)}", *keys, str(key))
        for key in data
        if str(key) not in known
    ]
