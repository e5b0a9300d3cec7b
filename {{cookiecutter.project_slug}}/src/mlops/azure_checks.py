"""What azure-ai-ml, Azure's own loader, says about the project's files; it needs no cloud."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlops.documents import Finding, InvalidFile, Keys, read_yaml
from mlops.project import Project


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
        "schedule": sorted((root / "monitoring").glob("monitor.yml")),
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
            for finding in (
                _check_monitor(path)
                if kind == "schedule"
                else _load(getattr(_load_functions, f"load_{kind}"), path)
            )
        ]


def _check_monitor(path: Path) -> list[Finding]:
    """What azure-ai-ml has against the monitor, which it loads without saying what is wrong.

    Its schema names each mistake; what that lets pass shows when it makes of it what is sent.
    """
    from mlops.workspaces.azure.schedules import load_schedule, schema_messages

    document = read_yaml(path)
    if messages := schema_messages(document.data, path.parent):
        return [
            document.finding(f"azure-ai-ml: `{'.'.join(map(str, keys))}`: {problem}", *keys)
            for keys, problem in _flat(messages, ())
        ]
    try:
        load_schedule(document.data, path.parent)._to_rest_object()
    except Exception as error:  # many kinds, as above
        return _azure_findings(path, str(error) or type(error).__name__)
    return []


def _flat(messages: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Marshmallow's messages, each with its place; of alternatives, the one that was meant."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            # What it puts between: the value of a dictionary, and an object as a whole.
            yield from _flat(inner, keys if key in ("value", "_schema") else (*keys, key))
    elif all(isinstance(message, str) for message in messages):
        yield keys, " ".join(messages)
    else:
        meant = min(messages, key=lambda each: ("type" in each, "_schema" in each, len(str(each))))
        yield from _flat(meant, keys)


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
