"""What a machine of Azure starts with: its variables, and the code that it was given."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.azure.resources import plain_id

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


def surroundings() -> dict[str, str]:
    """The variables that a machine starts with: no code of the project among them."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("MLFLOW", "AZUREML", "MLOPS", "PYTEST"))}  # fmt: skip
    kept.pop("PYTHONPATH", None)
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true"}  # fmt: skip


def code_of(azure: StandIn, identifier: str | None, workspace: str, folder: Path) -> Path:
    """The folder of the code that was uploaded; an empty folder if there is none."""
    if identifier:
        return azure.storage.download(plain_id(identifier), workspace, folder / "code")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
