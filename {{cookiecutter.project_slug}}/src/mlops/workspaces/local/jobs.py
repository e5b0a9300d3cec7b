"""Pipeline jobs as processes: in the order of the graph, side by side, reused where unchanged."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from mlops.digests import digest_of, digest_path
from mlops.distributed import distribution_of, world_of_one
from mlops.errors import MlopsError
from mlops.files import write_json
from mlops.pipeline import (
    PARENT_INPUT,
    PATH_TYPES,
    STEP_OUTPUT,
    Pipeline,
    Step,
    fill_command,
)
from mlops.settings import DistributedSettings
from mlops.workspaces import Report, StepResult
from mlops.workspaces.local.model_server import free_port
from mlops.workspaces.local.processes import code_environment, start, stop, tail
from mlops.workspaces.local.tracking import TrialRuns

TIMED_OUT = 124  # as the command `timeout` says it


class StepFailed(MlopsError):
    """A step ended with an exit status other than 0; carries the end of its log."""

    def __init__(self, step: str, status: int, log: Path, before: str = "") -> None:
        # A step that ends with 3 was refused by a rule, such as the contract; so is the job.
        self.exit_status = 3 if status == 3 else 1
        self.step, self.status, self.log = step, status, log
        super().__init__(
            f"{before}step `{step}` ended with exit status {status}; "
            f"the end of its log {log}:\n{tail(log)}"
        )


class JobRunner:
    """Runs one job.

    The outputs of a step lie in a folder that is named by the digest of what the step reads:
    its command, code, inputs, packages and Python. A step that finds its folder is not run again.
    The folder gets its name only when the step is done, so a killed step leaves nothing to reuse.
    """

    def __init__(
        self, folder: Path, pipeline: Pipeline, inputs: dict[str, Any], *,
        packages: Path, variables: dict[str, str], cache: bool, report: Report,
        trials: TrialRuns | None = None, distributed: DistributedSettings | None = None,
    ) -> None:  # fmt: skip
        self.steps = folder / "steps"
        self.pipeline, self.inputs = pipeline, inputs
        self.packages, self.variables = packages, variables
        self.cache, self.report = cache, report
        self.trials, self.distributed = trials, distributed
        self.digests: dict[str, str] = {}
        self.outputs: dict[str, Path] = {}
        self.logs: dict[str, Path] = {}
        self._hashed: dict[Path, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starting = threading.Lock()
        self.ended = False

    def run(self) -> list[StepResult]:
        """Run all steps.

        Raises:
            StepFailed: for the first step that fails; steps that run beside it are ended.
        """
        self.steps.mkdir(parents=True, exist_ok=True)
        for left_behind in self.steps.glob(".partial-*"):
            shutil.rmtree(left_behind)
        graph = self.pipeline.order()
        results: list[StepResult] = []
        futures: dict[Future[StepResult], str] = {}
        with ThreadPoolExecutor(max_workers=max(len(self.pipeline.steps), 1)) as pool:
            try:
                while graph.is_active():
                    for name in graph.get_ready():
                        futures[pool.submit(self._step, self.pipeline.steps[name])] = name
                    for future in wait(futures, return_when=FIRST_COMPLETED).done:
                        name = futures.pop(future)
                        results.append(future.result())
                        graph.done(name)
            finally:
                self.end()
        return results

    def end(self) -> None:
        """End all that runs, and start nothing more."""
        with self._starting:
            self.ended = True
            for process in self._running.values():
                stop(process)

    def _step(self, step: Step) -> StepResult:
        from mlops.workspaces.local.search import Search

        started = time.perf_counter()
        if step.sweep:
            digest, folder, log, reused = Search(self, step, step.sweep).run()
        else:
            values = self.values(step)
            digest = self.digest(step, values)
            folder = self.steps / f"{step.name}-{digest[:16]}"
            log, reused = folder / "log.txt", folder.is_dir()
            if not reused:
                self.report(f"{step.name} ...")
                self.say_distribution(step)
                self.execute(step.name, step, values, folder)
        self.digests[step.name] = digest
        self.logs[step.name] = log
        for name in step.component.ports("outputs"):
            self.outputs[f"{step.name}.{name}"] = folder / "outputs" / name
        seconds = 0.0 if reused else time.perf_counter() - started
        self.report(f"{step.name} {'reused' if reused else f'done in {seconds:.1f} s'}")
        return StepResult(step.name, seconds, reused, log)

    def execute(
        self, name: str, step: Step, values: dict[str, Any], folder: Path, *,
        variables: dict[str, str] | None = None, seconds: float | None = None,
        last: Callable[[Path], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Run a step's command in a folder that appears only when all is done.

        Args:
            name: of the step, or of the trial.
            step: gives the component.
            values: what each input is: a path or a literal.
            folder: gets `log.txt`, `step.json` and `outputs`.
            variables: for the process, besides those of the job.
            seconds: after so many the process is ended, and has failed.
            last: does the rest in the folder, once the process is done.

        Raises:
            StepFailed: the process failed; its log is kept in a folder `failed-<name>`.
        """
        component = step.component
        partial = self.steps / f".partial-{uuid.uuid4().hex[:8]}"
        outputs = {port: partial / "outputs" / port for port in component.ports("outputs")}
        for port, spec in component.ports("outputs").items():
            (outputs[port].parent if spec["type"] == "uri_file" else outputs[port]).mkdir(
                parents=True, exist_ok=True
            )
        command = fill_command(
            component,
            {key: self._argument(value) for key, value in values.items()},
            {key: _quote(path) for key, path in outputs.items()},
        )
        log = partial / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        distribution = distribution_of(self.pipeline, step, self.distributed)
        world = world_of_one(distribution, free_port()) if distribution else {}
        more = {**self.variables, **world, **(variables or {})}
        with log.open("wb") as stream:
            with self._starting:
                if self.ended:
                    raise MlopsError(f"step `{name}` was not started: another one failed")
                process = self._running[name] = start(
                    _shell(command), folder=component.code, log=stream,
                    environment=code_environment(component.code, **more),
                )  # fmt: skip
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                stop(process)
                status = TIMED_OUT
                stream.write(f"ended after {seconds:.0f} s: a timeout in `limits`\n".encode())
        if status:
            kept = self.steps / f"failed-{name}"
            shutil.rmtree(kept, ignore_errors=True)
            partial.rename(kept)
            self.logs[name] = kept / "log.txt"
            raise StepFailed(name, status, kept / "log.txt")
        write_json(partial / "step.json", {"step": name, "command": command.strip()})
        last(partial)
        partial.rename(folder)

    def say_distribution(self, step: Step) -> None:
        """Say what of a distributed step is not as in Azure."""
        if distribution := distribution_of(self.pipeline, step, self.distributed):
            self.report(f"{step.name}: {distribution} training is one process on this machine")

    def values(self, step: Step) -> dict[str, Any]:
        """What each input of a step is: a path or a literal."""
        values: dict[str, Any] = {
            name: spec["default"]
            for name, spec in step.component.ports("inputs").items()
            if "default" in spec
        }
        for name, value in step.inputs.items():
            text = str(value).strip()
            if match := PARENT_INPUT.fullmatch(text):
                value = self.inputs[match[1]]
            elif match := STEP_OUTPUT.fullmatch(text):
                value = self.outputs[f"{match[1]}.{match[2]}"]
            elif step.component.ports("inputs")[name]["type"] in PATH_TYPES:
                value = (self.pipeline.document.path.parent / text).resolve()
            values[name] = value
        return values

    def digest(self, step: Step, values: dict[str, Any]) -> str:
        """What a step reads, in one digest; a new one each time where it may not be reused."""
        if not (self.cache and step.component.is_deterministic):
            return uuid.uuid4().hex
        inputs: dict[str, Any] = {}
        for name, value in values.items():
            match = STEP_OUTPUT.fullmatch(str(step.inputs.get(name, "")).strip())
            if match:
                inputs[name] = [self.digests[match[1]], match[2]]
            else:
                inputs[name] = self._hash(value) if isinstance(value, Path) else value
        return digest_of([*self._surroundings(step), inputs])

    def _surroundings(self, step: Step) -> list[str]:
        distribution = distribution_of(self.pipeline, step, self.distributed)
        return [
            step.component.command,
            self._hash(step.component.code),
            self._hash(self.packages),
            platform.python_version(),
            *([distribution] if distribution else []),
        ]

    def _hash(self, path: Path) -> str:
        if path not in self._hashed:
            self._hashed[path] = digest_path(path)
        return self._hashed[path]

    @staticmethod
    def _argument(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return _quote(value)


def _quote(value: Any) -> str:
    if platform.system() == "Windows":
        return subprocess.list2cmdline([str(value)])
    return shlex.quote(str(value))


def _shell(command: str) -> list[str]:
    """The command as Azure runs it, by a shell; Windows has none that reads the same."""
    if platform.system() == "Windows":
        return ["cmd", "/c", " ".join(command.split())]
    return ["/bin/sh", "-c", f"set -e\n{command}"]
