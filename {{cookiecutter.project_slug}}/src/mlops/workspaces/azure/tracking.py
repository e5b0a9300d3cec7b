"""What a workspace in Azure keeps through MLflow: the files of versions, and records of decisions."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.decisions import Decision, DecisionKind, read_decision
from mlops.digests import digest_of
from mlops.errors import MlopsError
from mlops.files import to_json, write_json
from mlops.workspaces import ModelVersion
from mlops.workspaces.registry import (
    CODE,
    DECISION,
    EVALUATION,
    HELD_OUT,
    MODEL,
    Registry,
    quiet_mlflow,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORD = "decision.json"
PROMOTION = "promotion_of"  # the tag of a run that takes a version in: its digest


def open_client(tracking_uri: str) -> MlflowClient:
    """MLflow's client of a workspace."""
    quiet_mlflow()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")  # not 7: minutes
    logging.getLogger("azureml.mlflow").setLevel(logging.ERROR)  # of what `fetch` mends, it warns
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri)


@contextmanager
def artifacts_of(client: MlflowClient) -> Iterator[MlflowClient]:
    """Let a client reach artifacts: azureml-mlflow looks for them at MLflow's global address."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        yield client
    finally:
        mlflow.set_tracking_uri(before)


def fetch(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> Path:
    """Fetch an artifact of a run, a file or a folder, to where it has the same name in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with artifacts_of(client):
        fetched = Path(client.download_artifacts(run_id, artifact, str(folder)))
        # azureml-mlflow takes `a_b.py` for a folder below `a`, beside it, and makes an empty one.
        for wrong in [p for p in fetched.rglob("*") if p.is_dir() and not any(p.iterdir())]:
            wrong.rmdir()
            client.download_artifacts(run_id, wrong.relative_to(folder).as_posix(), str(folder))
    return fetched


def fetch_version(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """The files of a version, under `folder`; fetched once, as they never change.

    Raises:
        MlopsError: its run has no model.
    """
    kept = folder / f"{version.name}-{version.number}-{version.digest[:16]}"
    if not kept.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as partial:
            whole = Path(partial) / "files"
            with artifacts_of(client):
                there = {artifact.path for artifact in client.list_artifacts(version.run_id)}
            if MODEL not in there:
                raise MlopsError(f"the files of {version} are gone from run {version.run_id}")
            for name in (MODEL, CODE, EVALUATION, HELD_OUT, DECISION):
                if name in there:
                    fetch(client, version.run_id, name, whole)
            whole.rename(kept)
    return kept


def receive_version(
    client: MlflowClient, registry: Registry, version: ModelVersion, files: Path,
    tags: dict[str, str],
) -> ModelVersion:  # fmt: skip
    """Take a version in: its files into a run, and a version of the registry from there.

    One that was broken off leaves a run that is marked as killed; it is begun anew.
    """
    experiment = _experiment(client, registry.model)
    begun = f"tags.{PROMOTION} = '{version.digest}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], begun):
        client.set_terminated(run.info.run_id, "KILLED")
    run = client.create_run(
        experiment,
        run_name=f"promotion-of-{version.origin.replace('/', '-')}",
        tags={PROMOTION: version.digest},
    )
    with artifacts_of(client):
        client.log_artifacts(run.info.run_id, str(files))
    for name, value in version.metrics.items():
        if value is not None:
            client.log_metric(run.info.run_id, name, value)
    received = registry.register(run.info.run_id, {**version.tags, **tags})
    client.set_terminated(run.info.run_id)
    return received


class DecisionRecords:
    """The records of decisions: a run for each, in an experiment of their own.

    Runs need no more rights than training does, while the workspace's storage would.
    """

    def __init__(self, client: MlflowClient, model: str, cache: Path) -> None:
        self._client = client
        self._experiment_name = f"{model}-decisions"
        self._cache = cache

    def keep(self, decision: Decision) -> None:
        """Keep a record, once. Of one that is broken off, the run stays unfinished and is not read."""
        experiment = _experiment(self._client, self._experiment_name)
        digest = digest_of(decision.record())
        kept = f"tags.digest = '{digest}' and attributes.status = 'FINISHED'"
        if self._client.search_runs([experiment], kept):
            return
        run = self._client.create_run(
            experiment,
            run_name=f"{decision.kind}-{decision.environment}",
            tags={
                "environment": decision.environment,
                "kind": decision.kind,
                "accepted": str(decision.accepted).lower(),
                "digest": digest,
            },
        )
        with artifacts_of(self._client):
            self._client.log_text(run.info.run_id, to_json(decision.record()), RECORD)
        self._client.set_terminated(run.info.run_id)

    def read(self, environment: str, kind: DecisionKind | None = None) -> list[Decision]:
        """The records of an environment, all or of one kind, oldest first; each is fetched once."""
        experiment = self._client.get_experiment_by_name(self._experiment_name)
        if experiment is None:
            return []
        wanted = f"tags.environment = '{environment}' and attributes.status = 'FINISHED'"
        if kind:
            wanted += f" and tags.kind = '{kind}'"
        decisions: list[Decision] = []
        token: str | None = None
        while token != "":
            page = self._client.search_runs(
                [experiment.experiment_id], wanted, page_token=token,
                order_by=["attributes.start_time ASC"],
            )  # fmt: skip
            decisions += [self._fetch(run.info.run_id) for run in page]
            token = page.token or ""
        return decisions

    def _fetch(self, run_id: str) -> Decision:
        kept = self._cache / f"{run_id}.json"
        if not kept.is_file():
            with tempfile.TemporaryDirectory() as folder:
                path = fetch(self._client, run_id, RECORD, Path(folder))
                write_json(kept, read_decision(path).record())
        return read_decision(kept)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
