"""The tracking store of a local workspace, MLflow's tables in one SQLite file, and runs in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.workspaces.registry import quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


def create_store(file: Path, artifacts: Path) -> None:
    """Make the store where there is none yet.

    MLflow takes a second to migrate a new file from its first version to its last. Killed within
    it, it could not go on, so the file is filled elsewhere and put in its place when it is whole.
    """
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with FileLock(file.with_suffix(".lock")):
        if file.is_file():
            return
        folder = file.with_name(f".{file.stem}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        address = f"sqlite:///{(folder / file.name).as_posix()}"
        store = SqlAlchemyStore(address, artifacts.as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        (folder / file.name).replace(file)
        folder.rmdir()


class TrialRuns:
    """The runs of a search's trials: children of the run of the job."""

    def __init__(self, client: MlflowClient, experiment: str, parent: str) -> None:
        self.client, self.experiment, self.parent = client, experiment, parent

    def start(self, name: str, parameters: dict[str, Any]) -> str:
        """Begin a run; its id."""
        run = self.client.create_run(
            self.experiment, run_name=name, tags={"mlflow.parentRunId": self.parent}
        )
        for key, value in parameters.items():
            self.client.log_param(run.info.run_id, key, value)
        return str(run.info.run_id)

    def metrics(self, run: str) -> dict[str, float]:
        """What a trial has logged."""
        return dict(self.client.get_run(run).data.metrics)

    def end(self, run: str, status: str, metrics: dict[str, float]) -> None:
        """End a run; with the metrics of an earlier one, where it was reused."""
        for key, value in metrics.items():
            self.client.log_metric(run, key, value)
        self.client.set_terminated(run, status)

    def choose(self, run: str) -> None:
        """Name the best trial, by the tag that Azure gives a search."""
        self.client.set_tag(self.parent, "best_child_run_id", run)
