"""What the server of a deployment is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops.workspaces import ModelVersion
from mlops.workspaces.local import model_server
from mlops.workspaces.local.endpoints import EndpointStore

from .builders import write

OWN = ("AML_APP_ROOT", "AZUREML_MODEL_DIR", "GUNICORN_CMD_ARGS")


def test_a_deployment_names_variables_but_not_those_that_it_is_served_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "code" / "score.py", "")
    described = write(
        tmp_path / "deployment.yml",
        "code_configuration: {code: ./code, scoring_script: score.py}\n"
        f"environment_variables: {{{', '.join(f'{name}: theirs' for name in OWN)}, code: 1}}\n",
    )
    store = EndpointStore(tmp_path / "state", "churn-dev")
    store.create("blue", ModelVersion("churn", 1, "dev", "run", "now", {}), described, tmp_path)
    started: list[dict[str, str]] = []

    def start(command: list[str], *, environment: dict[str, str], **_: Any) -> None:
        started.append(environment)
        assert Path(command[1]).is_file()

    monkeypatch.setattr(model_server, "start", start)
    model_server.ModelServer(store, "blue")
    (variables,) = started
    assert variables["code"] == "1"
    assert variables["AML_APP_ROOT"] == str(store.code_of("blue"))
    assert variables["AZUREML_MODEL_DIR"] == str(tmp_path.resolve())
    assert variables["GUNICORN_CMD_ARGS"] == "--no-control-socket"
