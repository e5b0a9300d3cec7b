"""All checks over the project's files, before anything runs or costs money."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlops.contract import Contract, load_contract
from mlops.documents import Document, Finding, InvalidFile, did_you_mean, read_yaml
from mlops.errors import MlopsError, UsageError
from mlops.gate import check_settings
from mlops.pipeline import PLACEHOLDER, Component, is_local_path
from mlops.pipeline_checks import inspect_pipeline
from mlops.project import Project

RUNS_A_STEP = "mlops.step"


def check_project(
    project: Project, environment: str | None = None, *, with_azure: bool = True
) -> list[Finding]:
    """Everything that is wrong in the project's files.

    Args:
        project: the project.
        environment: look at the settings of this one only.
        with_azure: also ask azure-ai-ml, which takes three seconds to import.
    """
    findings: list[Finding] = []
    contract = None
    try:
        contract = load_contract(project.contract)
    except InvalidFile as error:
        findings += error.findings
    for name in [environment] if environment else project.environments:
        try:
            settings = project.environment(name)
        except InvalidFile as error:
            findings += error.findings
            continue
        except UsageError as error:
            findings.append(Finding(project.root / "pyproject.toml", 1, str(error)))
            continue
        if contract:
            findings += check_settings(settings, contract)
    for path in sorted((project.root / "pipelines").glob("*.yml")):
        findings += _check_pipeline(project, path, contract)
    for path in sorted((project.root / "deployment").glob("*/deployment.yml")):
        findings += _check_deployment(path)
    findings += _check_syntax(project)
    if with_azure:
        # Where our own checks say something about a file, it would say the same again.
        named = {finding.path.resolve() for finding in findings}
        findings += [f for f in check_with_azure(project) if f.path.resolve() not in named]
    return sorted(findings, key=lambda finding: (str(finding.path), finding.line))


def azure_ml_files(project: Project) -> dict[str, list[Path]]:
    """The project's Azure ML YAML files, by the kind that azure-ai-ml loads them as."""
    root = project.root
    return {
        "job": sorted((root / "pipelines").glob("*.yml")),
        "component": sorted((root / "pipelines" / "components").glob("*.yml")),
        "environment": sorted((root / "containers").glob("*/environment.yml")),
        "online_endpoint": sorted((root / "deployment" / "online").glob("endpoint.yml")),
        "online_deployment": sorted((root / "deployment" / "online").glob("deployment.yml")),
        "batch_endpoint": sorted((root / "deployment" / "batch").glob("endpoint.yml")),
        "model_batch_deployment": sorted((root / "deployment" / "batch").glob("deployment.yml")),
    }


def azure_is_installed() -> bool:
    """Whether Azure's own loader can be asked."""
    import importlib.util

    return importlib.util.find_spec("azure") is not None and (
        importlib.util.find_spec("azure.ai.ml") is not None
    )


def check_with_azure(project: Project) -> list[Finding]:
    """What azure-ai-ml finds when it loads and validates each file; nothing if not installed."""
    if not azure_is_installed():
        return []
    # What it prints while loading, about experimental classes, says nothing about these files.
    with contextlib.redirect_stderr(io.StringIO()):
        # `load_model_batch_deployment` is not among the names that azure.ai.ml itself offers.
        from azure.ai.ml.entities import _load_functions

        return [
            finding
            for kind, paths in azure_ml_files(project).items()
            for path in paths
            for finding in _load(getattr(_load_functions, f"load_{kind}"), path)
        ]


def _load(load: Callable[[Path], Any], path: Path) -> list[Finding]:
    try:
        loaded = load(path)
    except Exception as error:  # azure-ai-ml raises many kinds for a file that is wrong
        return _azure_findings(path, str(error) or type(error).__name__)
    result = loaded._validate() if hasattr(loaded, "_validate") else None
    problems = result.error_messages.items() if result else ()
    return [Finding(path, 1, f"azure-ai-ml: {where}: {what}") for where, what in problems]


def _azure_findings(path: Path, message: str) -> list[Finding]:
    """A message of azure-ai-ml as findings: it names fields in JSON, amid words of advice."""
    found = re.search(r"\{.*\}", message, re.DOTALL)
    try:
        fields = json.loads(found[0]) if found else {}
        document = read_yaml(path)
    except (ValueError, InvalidFile):
        fields = {}
    if not fields:
        text = " ".join(message.partition("Visit this link")[0].split())
        return [Finding(path, 1, f"azure-ai-ml: {text[:400]}")]
    return [
        document.finding(f"azure-ai-ml: `{name}`: {' '.join(str(problems).split())}", name)
        for name, problems in fields.items()
    ]


def _check_pipeline(project: Project, path: Path, contract: Contract | None) -> Iterator[Finding]:
    try:
        pipeline, findings = inspect_pipeline(path)
    except InvalidFile as error:
        yield from error.findings
        return
    yield from findings
    for component in {
        id(step.component): step.component for step in pipeline.steps.values()
    }.values():
        yield from _check_step_function(project, component)
    data = pipeline.inputs.get("data")
    if (
        contract
        and path == project.training_pipeline
        and isinstance(data, dict)
        and is_local_path(data)
    ):
        yield from _check_data(pipeline.document, path.parent / data["path"], contract)


def _check_data(document: Document, path: Path, contract: Contract) -> Iterator[Finding]:
    from mlops.tables import iterate_table
    from mlops.validation import TableCheck

    if not path.is_file():
        return  # the pipeline's own check names it
    check = TableCheck(contract, target=True)
    try:
        for piece in iterate_table(path, contract):
            check.check(piece)
        check.close()
    except MlopsError as error:
        yield document.finding(str(error), "inputs", "data")


def _check_syntax(project: Project) -> Iterator[Finding]:
    """That the model's own code is Python."""
    for path in sorted(project.package.rglob("*.py")):
        try:
            ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            yield Finding(path, getattr(error, "lineno", None) or 1, f"this is not Python: {error}")


def _check_step_function(project: Project, component: Component) -> Iterator[Finding]:
    """That the options in a component's command are the parameters of the step's function."""
    words = component.command.split()
    if RUNS_A_STEP not in words or words.index(RUNS_A_STEP) + 1 >= len(words):
        return
    name = words[words.index(RUNS_A_STEP) + 1]
    file = project.package / f"{name}.py"
    try:
        found = _parameters(file, name)
    except UsageError as error:
        yield component.document.finding(str(error), "command")
        return
    if found is None:
        return
    parameters, required = found
    options = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    for option in sorted(options - parameters):
        hint = did_you_mean(option, parameters)
        problem = f"`{name}` in {file.name} has no parameter `{option}`{hint}"
        yield component.document.finding(problem, "command")
    for missing in sorted(required - options):
        problem = f"`{name}` in {file.name} needs `--{missing} ${{{{inputs.{missing}}}}}` here"
        yield component.document.finding(problem, "command")


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


def _check_deployment(path: Path) -> Iterator[Finding]:
    try:
        document = read_yaml(path)
    except InvalidFile as error:
        yield from error.findings
        return
    data: Any = document.data if isinstance(document.data, dict) else {}
    code = data.get("code_configuration")
    if not isinstance(code, dict) or not code.get("code") or not code.get("scoring_script"):
        yield document.finding("`code_configuration` needs `code` and `scoring_script`")
        return
    folder = path.parent / str(code["code"])
    if not folder.is_dir():
        yield document.finding(
            f"the folder {code['code']} is missing", "code_configuration", "code"
        )
    elif not (folder / str(code["scoring_script"])).is_file():
        problem = f"the file {code['scoring_script']} is missing in {code['code']}"
        yield document.finding(problem, "code_configuration", "scoring_script")
    for key in PLACEHOLDER.findall(str(data)):
        yield document.finding(f"a deployment has no placeholders, but names {'.'.join(key)}")
