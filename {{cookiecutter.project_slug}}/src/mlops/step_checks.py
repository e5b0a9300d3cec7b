"""That a component's command and the function of its step fit together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mlops.documents import Finding, InvalidFile, did_you_mean
from mlops.errors import UsageError
from mlops.pipeline import Component, Pipeline
from mlops.project import Project

RUNS_A_STEP = "mlops.step"


def step_of(component: Component) -> str | None:
    """The step that a component's command runs, such as `train`; None where it runs none."""
    words = component.command.split()
    if RUNS_A_STEP not in words[:-1]:
        return None
    return words[words.index(RUNS_A_STEP) + 1]


def check_step_function(project: Project, component: Component) -> Iterator[Finding]:
    """That the options in a component's command are the parameters of the step's function."""
    name = step_of(component)
    if name is None:
        return
    file = project.package / f"{name}.py"
    try:
        found = _parameters(file, name)
    except UsageError as error:
        yield component.document.finding(str(error), "command")
        return
    if found is None:
        return
    parameters, required = found
    options = {
        word[2:].partition("=")[0] for word in component.command.split() if word.startswith("--")
    }
    for option in sorted(options - parameters):
        hint = did_you_mean(option, parameters)
        problem = f"`{name}` in {file.name} has no parameter `{option}`{hint}"
        yield component.document.finding(problem, "command")
    for missing in sorted(required - options):
        problem = f"`{name}` in {file.name} needs `--{missing} ${{{{inputs.{missing}}}}}` here"
        yield component.document.finding(problem, "command")


def require_parameters_of_trials(project: Project, pipeline: Pipeline) -> None:
    """That a step whose trials are searched takes what they are given.

    `mlops check` does not ask: a project that is older than its search can do without it.

    Raises:
        InvalidFile: it does not; says what to write.
    """
    findings = []
    for step in pipeline.steps.values():
        name = step_of(step.component)
        found = _parameters(project.package / f"{name}.py", name) if step.sweep and name else None
        if not step.sweep or not found:
            continue
        file = f"src/{project.settings.package}/{name}.py"
        for given in (*step.inputs, *step.sweep.space):
            option = re.search(
                rf"--([\w-]+)[\s=]+\$\{{\{{\s*inputs\.{given}\s*\}}\}}", step.component.command
            )
            if option is None or option[1] in found[0]:
                continue
            missing = option[1]
            problem = f"`{name}` in {file} has no parameter `{missing}`"
            if missing == "folds":
                problem += (
                    f"; a search compares the metric `{step.sweep.objective.primary_metric}` of "
                    "its trials, which each of them must log: docs/training.md shows the lines "
                    f"that {file} needs"
                )
            part = "inputs" if given in step.inputs else "search_space"
            findings.append(pipeline.document.finding(problem, "jobs", step.name, part, given))
    if findings:
        raise InvalidFile(findings)


def _parameters(file: Path, function: str) -> tuple[set[str], set[str]] | None:
    """All parameters and the required ones of a function, without importing it."""
    if not file.is_file():
        raise UsageError(f"the command runs the step `{function}`, but {file} is missing")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return None  # the check of its syntax names it
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            named = [*node.args.args, *node.args.kwonlyargs]
            with_default = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            with_default += [
                arg for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults) if default
            ]
            return {a.arg for a in named}, {a.arg for a in named} - {a.arg for a in with_default}
    raise UsageError(f"{file} must define the function `{function}`")
