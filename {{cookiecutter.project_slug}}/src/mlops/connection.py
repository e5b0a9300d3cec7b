"""The file that `MLClient.from_config(credential, path=".azureml/<environment>")` reads.

It repeats three names of `environments/<name>.yml`, as Azure's SDK knows no other file.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlops.files import write_text
from mlops.project import Environment, Project


def connection_file(project: Project, environment: Environment) -> Path:
    """Where the SDK looks."""
    return project.root / ".azureml" / environment.name / "config.json"


def is_connected(project: Project, environment: Environment) -> bool:
    """Whether the file says what the environment says; a local environment needs none."""
    if not environment.settings.azure.subscription_id:
        return True
    try:
        found = json.loads(connection_file(project, environment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = _connection(environment)
    return isinstance(found, dict) and wanted == {key: found.get(key) for key in wanted}


def connect(project: Project, environment: Environment) -> None:
    """Write the file."""
    text = json.dumps(_connection(environment), indent=2) + "\n"
    write_text(connection_file(project, environment), text)


def _connection(environment: Environment) -> dict[str, str]:
    azure = environment.settings.azure
    return {
        "subscription_id": azure.subscription_id,
        "resource_group": azure.resource_group,
        "workspace_name": azure.workspace,
    }
