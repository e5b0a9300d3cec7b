"""What the server of a deployment is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops.workspaces import ModelVersion
from mlops.workspaces.local import model_server
from mlops.workspaces.local.collector import CollectedFiles
from mlops.workspaces.local.endpoints import EndpointStore

from .builders import write

OWN = ("AML_APP_ROOT", "AZUREML_MODEL_DIR", "GUNICORN_CMD_ARGS", "AZUREML_MDC_PORT")
COLLECTING = "data_collector: {collections: {model_inputs: {enabled: 'true'}}}\n"


def starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The variables of each server that is started from now on; none really is."""
    started: list[dict[str, str]] = []

    def start(command: list[str], *, environment: dict[str, str], **_: Any) -> None:
        started.append(environment)
        assert Path(command[1]).is_file()

    monkeypatch.setattr(model_server, "start", start)
    monkeypatch.setattr(model_server, "stop", lambda _: None)
    return started


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
    started = starts(monkeypatch)
    model_server.ModelServer(store, "blue")
    (variables,) = started
    assert variables["code"] == "1"
    assert variables["AML_APP_ROOT"] == str(store.code_of("blue"))
    assert variables["AZUREML_MODEL_DIR"] == str(tmp_path.resolve())
    assert variables["GUNICORN_CMD_ARGS"] == "--no-control-socket"
    assert variables["AZUREML_MDC_PORT"] == "0"


@pytest.mark.parametrize("collects", [True, False])
def test_a_server_collects_if_its_deployment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collects: bool
) -> None:
    write(tmp_path / "code" / "score.py", "")
    described = write(
        tmp_path / "deployment.yml",
        "code_configuration: {code: ./code, scoring_script: score.py}\n" + COLLECTING * collects,
    )
    monkeypatch.setenv("AZUREML_MDC_ENABLED", "true")  # whatever this machine says
    monkeypatch.setenv("AZUREML_MDC_CONFIG_PATH", "elsewhere")
    store = EndpointStore(tmp_path / "state", "churn-dev")
    store.create("blue", ModelVersion("churn", 1, "dev", "run", "now", {}), described, tmp_path)
    started = starts(monkeypatch)
    for name in ("blue", "blue"):
        server = model_server.ModelServer(store, name, CollectedFiles(tmp_path, "churn-dev"))
        server.stop()
    wanted = str(store.folder_of("blue") / "data_collector.json") if collects else ""
    assert [variables["AZUREML_MDC_CONFIG_PATH"] for variables in started] == [wanted] * 2
    assert {variables["AZUREML_MDC_ENABLED"] for variables in started} == {"false"}
    ports = {variables["AZUREML_MDC_PORT"] for variables in started}
    assert ("0" in ports) != collects
