"""The graph of an Azure ML pipeline: reading it, ordering it, filling in its commands.

Source: the CLI (v2) pipeline job, sweep job and command component YAML references of Azure
Machine Learning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from mlops.documents import Document, Finding, InvalidFile, did_you_mean, read_yaml
from mlops.errors import UsageError
from mlops.sweep import Sweep, read_sweep

PARENT_INPUT = re.compile(r"\$\{\{\s*parent\.inputs\.([\w-]+)\s*\}\}")
STEP_OUTPUT = re.compile(r"\$\{\{\s*parent\.jobs\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")
PLACEHOLDER = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w-]+)\s*\}\}")
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)

PATH_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}


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
    """One job of a pipeline: a component and what its inputs are bound to.

    In a sweep step, the component is that of each trial, and the search binds further inputs.
    """

    name: str
    component: Component
    inputs: dict[str, Any]
    sweep: Sweep | None = None

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
            filled[name] = values.get(name, literal(spec))
            if name not in values and is_local_path(spec):
                filled[name] = (self.document.path.parent / spec["path"]).resolve()
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


def read_pipeline(path: Path) -> tuple[Pipeline, list[Finding]]:
    """The pipeline as far as it can be read, and what cannot be.

    Raises:
        InvalidFile: the file is missing or is not YAML.
    """
    document = read_yaml(path)
    data = document.data if isinstance(document.data, dict) else {}
    inputs, jobs = data.get("inputs") or {}, data.get("jobs")
    if not isinstance(jobs, dict) or not jobs:
        problem = "`jobs` must name at least one step"
        return Pipeline(document, {}, {}), [document.finding(problem, "jobs")]
    if not isinstance(inputs, dict):
        problem = "`inputs` must be a mapping of `name: value` lines"
        return Pipeline(document, {}, {}), [document.finding(problem, "inputs")]
    steps: dict[str, Step] = {}
    findings: list[Finding] = []
    for name, job in jobs.items():
        step, found = _read_step(document, str(name), job)
        findings += found
        if step:
            steps[step.name] = step
    return Pipeline(document, inputs, steps, path.stem), findings


def is_local_path(spec: Any) -> bool:
    """Whether an input is a path on this machine (and not an asset or an address)."""
    path = spec.get("path") if isinstance(spec, dict) else None
    return isinstance(path, str) and not re.match(r"azureml:|[a-z]+://|\$\{\{", path)


def literal(value: Any) -> Any:
    """What a step's input says: a literal or a reference, also where it is `{path: ...}`."""
    return value.get("path", value.get("value")) if isinstance(value, dict) else value


def _read_step(document: Document, name: str, job: Any) -> tuple[Step | None, list[Finding]]:
    at = ("jobs", name)
    if not isinstance(job, dict):
        return None, [document.finding(f"step `{name}` must be a mapping", *at)]
    is_sweep = job.get("type") == "sweep"
    key = "trial" if is_sweep else "component"
    file = job.get(key)
    if not isinstance(file, str):
        problem = f"step `{name}` needs `{key}:` with the path of a component's file"
        return None, [document.finding(problem, *at)]
    path = document.path.parent / file.removeprefix("file:")
    try:
        component = Component(read_yaml(path))
    except InvalidFile as error:
        if not path.is_file():
            return None, [document.finding(f"the file {file} is missing", *at, key)]
        return None, error.findings
    inputs = job.get("inputs") or {}
    if not isinstance(inputs, dict):
        problem = f"the `inputs` of step `{name}` must be a mapping"
        return None, [document.finding(problem, *at, "inputs")]
    bound = {str(key): literal(value) for key, value in inputs.items()}
    sweep, findings = read_sweep(document, name, job) if is_sweep else (None, [])
    return Step(name, component, bound, sweep), findings
