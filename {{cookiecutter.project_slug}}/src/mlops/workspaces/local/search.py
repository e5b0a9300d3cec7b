"""A hyperparameter search: a sweep step's trials as processes, a few at a time, and the best one."""

from __future__ import annotations

import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.console import number
from mlops.digests import digest_of
from mlops.errors import MlopsError
from mlops.files import read_json, write_json, write_text
from mlops.pipeline import Step
from mlops.sweep import Sweep
from mlops.workspaces.local.jobs import StepFailed
from mlops.workspaces.local.processes import processors

if TYPE_CHECKING:
    from mlops.workspaces.local.jobs import JobRunner
    from mlops.workspaces.local.tracking import TrialRuns

RECORD = "trial.json"


@dataclass(frozen=True)
class Trial:
    """A trial that has run: its folder and the metric, or why it failed."""

    number: int
    parameters: dict[str, Any]
    run: str
    digest: str
    folder: Path
    reused: bool = False
    metric: float = math.nan
    failure: StepFailed | None = None

    @property
    def state(self) -> str:
        """How it went, in a word."""
        return "failed" if self.failure else "reused" if self.reused else "done"


class Search:
    """The trials of one sweep step.

    A trial that was run before, with the same parameters and in the same surroundings, is not run
    again: its outputs and metrics lie in a folder that is named by its digest.
    """

    def __init__(self, runner: JobRunner, step: Step, sweep: Sweep) -> None:
        if runner.trials is None:
            raise MlopsError(
                f"step `{step.name}` is a search, and there is no store for its trials"
            )
        self.runner, self.step, self.sweep = runner, step, sweep
        self.runs: TrialRuns = runner.trials
        self.parameters = sweep.trials()
        self.values = runner.values(step)
        self.at_once = min(
            sweep.limits.max_concurrent_trials or len(self.parameters),
            processors(), len(self.parameters),
        )  # fmt: skip
        # Each trial takes all processors otherwise, and two together are slower than in turn.
        threads = str(max(processors() // self.at_once, 1))
        self._threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
        self._started = time.monotonic()
        self._tracking = threading.Lock()

    def run(self) -> tuple[str, Path, Path, bool]:
        """Run the trials that have not been run.

        Returns:
            The digest and the folder of the best trial, the log of the search, and whether no
            trial was run.

        Raises:
            StepFailed: all trials failed.
            MlopsError: a trial has not logged the metric.
        """
        self._announce()
        with ThreadPoolExecutor(self.at_once) as pool:
            futures = [
                pool.submit(self._trial, index, parameters)
                for index, parameters in enumerate(self.parameters, 1)
            ]
            try:
                trials = [future.result() for future in as_completed(futures)]
            except BaseException:
                for future in futures:
                    future.cancel()
                self.runner.end()
                raise
        trials.sort(key=lambda trial: trial.number)
        best = self._best(trials)
        self.runs.choose(best.run)
        self.runner.report(f"{self._name(best.number)} is the best: {self._show(best)}")
        return best.digest, best.folder, self._log(trials, best), all(t.reused for t in trials)

    def _announce(self) -> None:
        sampling, name = self.sweep.sampling, self.step.name
        self.runner.report(f"{name} ... {len(self.parameters)} trials, {self.at_once} at a time")
        self.runner.say_distribution(self.step)
        asked = "sobol" if sampling.rule == "sobol" else sampling.type
        if asked in ("sobol", "bayesian"):
            self.runner.report(f"{name}: {asked} sampling is random sampling on this machine")
        if self.sweep.early_termination:
            self.runner.report(f"{name}: no trial is terminated early on this machine")

    def _trial(self, index: int, parameters: dict[str, Any]) -> Trial:
        runner, step = self.runner, self.step
        if runner.ended:
            raise MlopsError(f"trial {index} of step `{step.name}` was not started")
        values = {**self.values, **parameters}
        digest = runner.digest(step, values)
        folder = runner.steps / f"{step.name}-trial-{digest[:16]}"
        name = f"{step.name}-trial-{index}"
        with self._tracking:
            run = self.runs.start(name, parameters)
        reused, failure, status = folder.is_dir(), None, "KILLED"
        try:
            if not reused:
                runner.execute(
                    name, step, values, folder, variables={"MLFLOW_RUN_ID": run, **self._threads},
                    seconds=self._seconds(), last=lambda made: self._record(made, run, parameters),
                )  # fmt: skip
            status = "FINISHED"
        except StepFailed as error:
            if runner.ended:
                raise
            failure, status = error, "FAILED"
        finally:
            with self._tracking:
                kept = read_json(folder / RECORD)["metrics"] if reused else {}
                self.runs.end(run, status, {k: v for k, v in kept.items() if v is not None})
        runner.logs[name] = failure.log if failure else folder / "log.txt"
        metric = math.nan if failure else self._metric(index, folder)
        trial = Trial(index, parameters, run, digest, folder, reused, metric, failure)
        runner.report(f"{self._name(index)}{' reused' if reused else ''}: {self._show(trial)}")
        return trial

    def _seconds(self) -> float | None:
        """How long a trial that starts now may take."""
        limits = self.sweep.limits
        left = [float(limits.trial_timeout)] if limits.trial_timeout else []
        if limits.timeout:
            left.append(max(self._started + limits.timeout - time.monotonic(), 0.0))
        return min(left, default=None)

    def _record(self, folder: Path, run: str, parameters: dict[str, Any]) -> None:
        with self._tracking:
            metrics = self.runs.metrics(run)
        write_json(folder / RECORD, {"parameters": parameters, "metrics": metrics})

    def _metric(self, index: int, folder: Path) -> float:
        name = self.sweep.objective.primary_metric
        found = read_json(folder / RECORD)["metrics"]
        if name not in found:
            logged = ", ".join(sorted(found)) or "no metric"
            document = self.runner.pipeline.document
            line = document.line("jobs", self.step.name, "objective", "primary_metric")
            raise MlopsError(
                f"{document.path}:{line}: trial {index} of step `{self.step.name}` did not log the "
                f"metric `{name}`; it logged {logged}. What `command` in "
                f"{self.step.component.document.path} runs must log it with MLflow: "
                "docs/training.md shows how"
            )
        value = found[name]
        return math.nan if value is None else float(value)

    def _best(self, trials: list[Trial]) -> Trial:
        """The first of the trials with the best value."""
        compared = [trial for trial in trials if not math.isnan(trial.metric)]
        if compared:
            value = self.sweep.objective.best([trial.metric for trial in compared])
            return next(trial for trial in compared if trial.metric == value)
        failed = next((trial.failure for trial in trials if trial.failure), None)
        if failed is None:
            name = self.sweep.objective.primary_metric
            raise MlopsError(f"`{name}` is not a number in any trial of step `{self.step.name}`")
        before = f"all {len(trials)} trials of step `{self.step.name}` failed; the first one: "
        raise StepFailed(failed.step, failed.status, failed.log, before)

    def _log(self, trials: list[Trial], best: Trial) -> Path:
        """A table of the trials in a file."""
        objective = self.sweep.objective
        head = ["trial", "", objective.primary_metric, *self.sweep.space]
        rows = [head] + [
            [
                str(trial.number),
                "best" if trial is best else trial.state,
                number(None if math.isnan(trial.metric) else trial.metric),
                *map(str, trial.parameters.values()),
            ]
            for trial in trials
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        digest = digest_of([objective.model_dump(), [trial.digest for trial in trials]])
        log = self.runner.steps / f"{self.step.name}-sweep-{digest[:16]}" / "log.txt"
        title = f"{objective.goal} {objective.primary_metric}"
        write_text(log, "\n".join([title, "", *lines, ""]))
        return log

    def _name(self, index: int) -> str:
        return f"{self.step.name}: trial {index} of {len(self.parameters)}"

    def _show(self, trial: Trial) -> str:
        parameters = ", ".join(f"{name} {value}" for name, value in trial.parameters.items())
        if trial.failure:
            failed = f"failed with exit status {trial.failure.status}"
            return f"{failed} ({parameters}); its log: {trial.failure.log}"
        metric = number(None if math.isnan(trial.metric) else trial.metric)
        return f"{self.sweep.objective.primary_metric} {metric} ({parameters})"
