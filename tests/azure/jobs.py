"""Jobs that are submitted: a single command, or a pipeline whose steps run one after another."""

from __future__ import annotations

import graphlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.azure.commands import input_value, run_command
from tests.azure.messages import Refusal
from tests.azure.resources import Resource, plain_id
from tests.azure.runs import Run, Runs, StepFailed
from tests.azure.sweeps import score_of, trials_of
from tests.conftest import SCRATCH

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


class Jobs:
    """Runs jobs in the background."""

    def __init__(self, azure: StandIn, runs: Runs) -> None:
        self._azure, self._runs = azure, runs

    def submit(self, resource: Resource, failure: str | None) -> None:
        """Start a job. With `failure` it ends with that message before its first step."""
        workspace, properties = resource["id"].split("/jobs/")[0], resource["properties"]
        kind = "azureml.PipelineRun" if properties["jobType"] == "Pipeline" else "azureml.scriptrun"
        run = self._runs.add(resource, workspace, kind)
        self._azure.background(lambda: self._execute(run, failure))

    def _execute(self, run: Run, failure: str | None) -> None:
        folder, started = Path(tempfile.mkdtemp(dir=SCRATCH)), False
        try:
            experiment = self._start(run)
            started = True
            if failure:
                raise StepFailed(failure)
            self._runs.set_status(run, "Running")
            if run.properties["jobType"] == "Pipeline":
                self._pipeline(run, folder, experiment)
            else:
                inputs = run.properties.get("inputs") or {}
                run_command(self._azure, run, run.properties, inputs, folder, experiment)
            self._runs.end(run, "Completed")
        except Exception as error:
            run.error = str(error) if isinstance(error, (StepFailed, Refusal)) else repr(error)
            if started:
                self._runs.end(run, "Failed")
            else:
                self._runs.set_status(run, "Failed")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, run: Run) -> str:
        """Let MLflow know of a job; the id of its experiment."""
        properties = run.properties
        tags = {**(properties.get("properties") or {}), **(properties.get("tags") or {}),
                "mlflow.rootRunId": run.name}  # fmt: skip
        shown = properties.get("displayName") or run.name
        return self._azure.tracking.start_run(run.workspace, run.name, run.experiment, shown, tags)

    def _pipeline(self, run: Run, folder: Path, experiment: str) -> None:
        """Run the steps, each after those whose outputs it takes."""
        steps = run.properties["jobs"]
        before = {
            name: set(re.findall(r"parent\.jobs\.(\w+)\.outputs", json.dumps(step.get("inputs") or {})))
            for name, step in steps.items()
        }  # fmt: skip
        known = {f"parent.inputs.{name}": input_value(self._azure, value, run, {}, folder / "inputs" / name)
                 for name, value in (run.properties.get("inputs") or {}).items()}  # fmt: skip
        for name in graphlib.TopologicalSorter(before).static_order():
            if run.canceled:
                return
            outputs = self._step(run, name, steps[name], known, folder, experiment)
            known |= {f"parent.jobs.{name}.outputs.{output}": str(path)
                      for output, path in outputs.items()}  # fmt: skip

    def _step(
        self, run: Run, name: str, step: dict[str, Any], known: dict[str, Any], folder: Path,
        experiment: str,
    ) -> dict[str, Path]:  # fmt: skip
        """Run a step, with all trials if it is a sweep; the outputs, of the best one."""
        identifier = step.get("componentId") or step["trial"]["componentId"]
        component = self._azure.resources.find(plain_id(identifier))["properties"]["componentSpec"]
        inputs = {
            key: value.get("default") for key, value in (component.get("inputs") or {}).items()
        }
        inputs |= {key: input_value(self._azure, value, run, known, folder / name / "inputs" / key)
                   for key, value in (step.get("inputs") or {}).items()}  # fmt: skip
        trials = trials_of(step) if step["type"] == "sweep" else [{}]
        results: list[tuple[float, dict[str, Path]]] = []
        for number, trial in enumerate(trials):
            child = self._runs.add_step(run, name if len(trials) == 1 else f"{name}_{number}")
            self._runs.note(run, folder, f"Submitting 1 runs, first five are: {child.name}")
            given = {**inputs, **{key: str(value) for key, value in trial.items()}}
            made = self._trial(child, component, given, folder / name / str(number), experiment)
            self._runs.note(run, folder, f"Completing processing run id {child.name}.")
            score = score_of(self._azure, child, step) if len(trials) > 1 else 0.0
            results.append((score, made))
        return max(results, key=lambda result: result[0])[1]

    def _trial(
        self, child: Run, component: dict[str, Any], inputs: dict[str, Any], folder: Path,
        experiment: str,
    ) -> dict[str, Path]:  # fmt: skip
        """Run the command of a component once; its outputs."""
        try:
            made = run_command(self._azure, child, component, inputs, folder, experiment)
        finally:
            if child.error:
                self._runs.end(child, "Failed")
        self._runs.end(child, "Completed")
        return made
