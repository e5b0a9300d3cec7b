"""Running the command of a job or of a step, from its inputs to its outputs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.azure.machine import code_of, surroundings
from tests.azure.messages import API
from tests.azure.resources import plain_id
from tests.azure.runs import Run, StepFailed

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

PLACEHOLDER = re.compile(r"\$\{\{\s*([\w.]+)\s*\}\}")
# Is left out where an optional input in it was not given.
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def run_command(
    azure: StandIn, run: Run, spec: dict[str, Any], inputs: dict[str, Any], folder: Path,
    experiment: str,
) -> dict[str, Path]:  # fmt: skip
    """Run a command to its end.

    Args:
        azure: the stand-in.
        run: whose command it is.
        spec: a command job or the specification of a command component, in either's spelling.
        inputs: by their names, as `input_value` takes them.
        folder: for all that is read and written.
        experiment: the id of the run's experiment in MLflow.

    Returns:
        The paths of the outputs, by their names.

    Raises:
        StepFailed: the command ended with another exit status than 0.
    """
    code = code_of(azure, spec.get("code") or spec.get("codeId"), run.workspace, folder)
    types = {name: str(output.get("type") or output.get("jobOutputType"))
             for name, output in (spec.get("outputs") or {}).items()}  # fmt: skip
    outputs = {name: folder / "outputs" / name for name in types}
    for name, path in outputs.items():
        (path.parent if types[name] == "uri_file" else path).mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {f"outputs.{name}": path for name, path in outputs.items()}
    known |= {f"inputs.{name}": input_value(azure, value, run, {}, folder / "inputs")
              for name, value in inputs.items()}  # fmt: skip
    variables = spec.get("environment_variables") or spec.get("environmentVariables") or {}
    variables = {**_variables(azure, run, experiment), **variables}
    _execute(azure, run, _filled(spec["command"], known), code, folder / "std_log.txt", variables)
    for name, path in outputs.items():
        uri = f"azureml://datastores/workspaceblobstore/paths/azureml/{run.name}/{name}"
        azure.storage.upload(path, uri, run.workspace)
        run.outputs[name] = types[name], uri
    return outputs


def input_value(azure: StandIn, value: Any, run: Run, known: dict[str, Any], folder: Path) -> Any:
    """What an input is on this machine: a literal, or the path of what was downloaded.

    Args:
        azure: the stand-in.
        value: an input of a job, or what it is already.
        run: in whose workspace its data lies.
        known: the values of the placeholders in a literal.
        folder: to download to.
    """
    if not isinstance(value, dict):
        return value
    if (value.get("job_input_type") or value.get("jobInputType")) == "literal":
        return PLACEHOLDER.sub(lambda found: str(known[found[1]]), str(value["value"]))
    return str(azure.storage.download(plain_id(value["uri"]), run.workspace, folder))


def _filled(command: str, known: dict[str, Any]) -> str:
    """A command with the values of its placeholders."""

    def given(part: re.Match[str]) -> str:
        there = all(known.get(name) is not None for name in PLACEHOLDER.findall(part[1]))
        return part[1] if there else ""

    command = OPTIONAL.sub(given, command)
    return PLACEHOLDER.sub(lambda found: shlex.quote(_literal(known[found[1]])), command)


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _execute(
    azure: StandIn, run: Run, command: str, code: Path, log: Path, variables: dict[str, str]
) -> None:
    runs = azure.machines.runs
    runs.set_status(run, "Running")
    with log.open("wb") as stream:
        shell = ["/bin/sh", "-c", f"set -e\n{command}"]
        status = runs.wait_for(run, shell, code, stream, variables)
    runs.keep_log(run, "user_logs/std_log.txt", log)
    if status and not run.canceled:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        run.error = (
            f"Execution failed. User process exited with status code {status}. {' '.join(last)}"
        )
        step = f"step {run.properties['displayName']}: " if run.parent else ""
        raise StepFailed(step + run.error)


def _variables(azure: StandIn, run: Run, experiment: str) -> dict[str, str]:
    """The variables of a job in Azure."""
    return {
        **surroundings(), **azure.variables("compute"),
        "MLFLOW_TRACKING_URI": f"azureml://{API}/mlflow/v2.0{run.workspace}",
        "MLFLOW_TRACKING_TOKEN": azure.identities.token("compute", "https://management.azure.com"),
        "MLFLOW_RUN_ID": run.name, "MLFLOW_EXPERIMENT_ID": experiment,
        "MLFLOW_EXPERIMENT_NAME": run.experiment,
        "AZUREML_RUN_ID": run.name, "AZUREML_ROOT_RUN_ID": (run.parent or run).name,
    }  # fmt: skip
