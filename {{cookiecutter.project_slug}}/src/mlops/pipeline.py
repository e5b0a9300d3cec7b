"""The graph of an Azure ML pipeline: reading it, checking it, ordering it, filling in commands.

azure-ai-ml loads a pipeline without looking at how its steps fit together; what it leaves out
is checked here: unknown and unbound inputs, references to what is not there, cycles, misspelled
keys, missing paths.
Source: the CLI (v2) pipeline job and command component YAML references of Azure Machine Learning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from mlops.documents import Document, Finding, InvalidFile, did_you_mean, read_yaml
from mlops.errors import UsageError

PARENT_INPUT = re.compile(r"\$\{\{\s*parent\.inputs\.([\w-]+)\s*\}\}")
STEP_OUTPUT = re.compile(r"\$\{\{\s*parent\.jobs\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")
PLACEHOLDER = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w-]+)\s*\}\}")
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)

PATH_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}
LITERAL_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, int, float, bool),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
PIPELINE_KEYS = {
    "$schema", "name", "type", "display_name", "experiment_name", "description", "tags",
    "settings", "compute", "inputs", "outputs", "jobs", "identity", "component",
}  # fmt: skip
STEP_KEYS = {
    "type", "component", "inputs", "outputs", "compute", "environment", "environment_variables",
    "resources", "limits", "distribution", "display_name", "description", "tags", "identity",
    "queue_settings", "services", "properties", "name", "code", "command",
}  # fmt: skip
COMPONENT_KEYS = {
    "$schema", "type", "name", "version", "display_name", "description", "tags", "command", "code",
    "environment", "distribution", "resources", "inputs", "outputs", "is_deterministic",
    "additional_includes", "properties",
}  # fmt: skip


@dataclass(frozen=True)
class Component:
    """A command component in a file of its own."""

    document: Document

    @property
    def data(self) -> dict[str, Any]:
        """The file's content."""
        return self.document.data if isinstance(self.document.data, dict) else {}

    @property
    def command(self) -> str:
        """The command with its placeholders."""
        return str(self.data.get("command", ""))

    @property
    def code(self) -> Path:
        """The folder that the command runs in."""
        return (self.document.path.parent / str(self.data.get("code", "."))).resolve()

    @property
    def is_deterministic(self) -> bool:
        """Whether the same code and inputs give the same outputs, so that a run can be reused."""
        return bool(self.data.get("is_deterministic", True))

    def ports(self, kind: str) -> dict[str, dict[str, Any]]:
        """The declared `inputs` or `outputs`, by name."""
        ports = self.data.get(kind)
        if not isinstance(ports, dict):
            return {}
        return {
            str(name): spec if isinstance(spec, dict) else {"type": spec}
            for name, spec in ports.items()
        }


@dataclass(frozen=True)
class Step:
    """One job of a pipeline: a component and what its inputs are bound to."""

    name: str
    component: Component
    inputs: dict[str, Any]

    @property
    def needs(self) -> set[str]:
        """The steps whose outputs it reads."""
        bound = (STEP_OUTPUT.fullmatch(str(value).strip()) for value in self.inputs.values())
        return {match[1] for match in bound if match}


@dataclass(frozen=True)
class Pipeline:
    """A pipeline whose steps fit together."""

    document: Document
    inputs: dict[str, Any]
    steps: dict[str, Step]
    name: str = field(default="")

    def with_inputs(self, values: dict[str, Any]) -> dict[str, Any]:
        """The pipeline's inputs with some replaced; paths are absolute.

        Raises:
            UsageError: a name is not an input of the pipeline.
        """
        unknown = [name for name in values if name not in self.inputs]
        if unknown:
            hints = [f"`{name}`{did_you_mean(name, self.inputs)}" for name in unknown]
            raise UsageError(f"{self.document.path.name} has no input {', '.join(hints)}")
        filled: dict[str, Any] = {}
        for name, spec in self.inputs.items():
            filled[name] = values.get(name, _literal(spec))
            if name not in values and is_local_path(spec):
                filled[name] = self.document.path.parent / spec["path"]
        return filled

    def order(self) -> TopologicalSorter[str]:
        """The steps in the order of the graph, ready for `get_ready` and `done`."""
        sorter = TopologicalSorter({name: step.needs for name, step in self.steps.items()})
        sorter.prepare()
        return sorter


def fill_command(component: Component, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """The component's command with every placeholder replaced.

    An optional part, `$[[--flag ${{inputs.x}}]]`, stays only where its inputs are given.
    """
    values = {("inputs", name): value for name, value in inputs.items()}
    values |= {("outputs", name): value for name, value in outputs.items()}

    def keep(match: re.Match[str]) -> str:
        named = PLACEHOLDER.findall(match[1])
        return match[1] if all(key in values for key in named) else ""

    command = OPTIONAL.sub(keep, component.command)
    return PLACEHOLDER.sub(lambda match: values[match[1], match[2]], command)


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
    document = read_yaml(path)
    data = document.data if isinstance(document.data, dict) else {}
    findings = _unknown_keys(document, data, PIPELINE_KEYS)
    inputs = data.get("inputs") or {}
    findings += [
        finding
        for name, spec in inputs.items()
        for finding in _missing_path(document, spec, "inputs", name)
    ]
    jobs = data.get("jobs")
    if not isinstance(jobs, dict) or not jobs:
        return Pipeline(document, inputs, {}), [
            *findings,
            document.finding("`jobs` must name at least one step", "jobs"),
        ]
    steps: dict[str, Step] = {}
    for name, job in jobs.items():
        step, found = _read_step(document, str(name), job)
        findings += found
        if step:
            steps[step.name] = step
    pipeline = Pipeline(document, inputs, steps, path.stem)
    for step in steps.values():
        findings += _inspect_bindings(pipeline, step, set(jobs))
    findings += _inspect_cycles(pipeline)
    findings += [finding for step in steps.values() for finding in inspect_component(step.component)]
    return pipeline, list(dict.fromkeys(findings))


def inspect_component(component: Component) -> list[Finding]:
    """What is wrong inside one component's file."""
    document, data = component.document, component.data
    findings = _unknown_keys(document, data, COMPONENT_KEYS)
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


def is_local_path(spec: Any) -> bool:
    """Whether an input is a path on this machine (and not an asset or an address)."""
    path = spec.get("path") if isinstance(spec, dict) else None
    return isinstance(path, str) and not re.match(r"azureml:|[a-z]+://|\$\{\{", path)


def _read_step(document: Document, name: str, job: Any) -> tuple[Step | None, list[Finding]]:
    at = ("jobs", name)
    if not isinstance(job, dict):
        return None, [document.finding(f"step `{name}` must be a mapping", *at)]
    findings = _unknown_keys(document, job, STEP_KEYS, *at)
    file = job.get("component")
    if not isinstance(file, str):
        problem = f"step `{name}` needs `component:` with the path of a component's file"
        return None, [*findings, document.finding(problem, *at)]
    path = document.path.parent / file.removeprefix("file:")
    try:
        component = Component(read_yaml(path))
    except InvalidFile as error:
        if not path.is_file():
            return None, [*findings, document.finding(f"the file {file} is missing", *at, "component")]
        return None, [*findings, *error.findings]
    inputs = job.get("inputs") or {}
    return Step(name, component, {str(key): _literal(value) for key, value in inputs.items()}), findings


def _inspect_bindings(pipeline: Pipeline, step: Step, names: set[str]) -> list[Finding]:
    document, declared = pipeline.document, step.component.ports("inputs")
    findings = []

    def report(problem: str, *keys: str) -> None:
        findings.append(document.finding(problem, "jobs", step.name, "inputs", *keys))

    for name, spec in declared.items():
        if name not in step.inputs and "default" not in spec and not spec.get("optional"):
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
            kind = declared[name].get("type")
            fits = LITERAL_TYPES.get(str(kind))
            if fits and (not isinstance(value, fits) or (isinstance(value, bool) and bool not in fits)):
                report(f"the input `{name}` is of type {kind}, not {value!r}", name)
            findings += _missing_path(document, {"path": value} if kind in PATH_TYPES else None,
                                      "jobs", step.name, "inputs", name)  # fmt: skip
    return findings


def _inspect_cycles(pipeline: Pipeline) -> list[Finding]:
    try:
        pipeline.order()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        return [pipeline.document.finding(f"these steps wait for each other: {cycle}", "jobs")]
    return []


def _literal(value: Any) -> Any:
    """What a step's input says: a literal or a reference, also where it is `{path: ...}`."""
    return value.get("path", value.get("value")) if isinstance(value, dict) else value


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
