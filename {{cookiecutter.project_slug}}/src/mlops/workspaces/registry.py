"""The model registry of a workspace, through MLflow: a local SQLite file, or Azure ML's registry.

Which version is the champion says a tag, not MLflow's alias: Azure ML's registry is not known to
keep aliases. The tag holds a number that grows, so that moving the champion is one write.
"""

from __future__ import annotations

import datetime
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.digests import digest_of, digest_path
from mlops.project import Environment
from mlops.step import SOURCE
from mlops.workspaces import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A model, its code, the evidence and the decision lie under these names in a run's artifacts.
MODEL, CODE, EVALUATION, HELD_OUT, DECISION = "model", "code", "evaluation", "held_out", "decision"
NOT_CODE = ("__pycache__", "*.egg-info", ".amlignore")


def quiet_mlflow() -> None:
    """No telemetry, and no chatter on the terminal; set before MLflow is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It prints the traceback of every error of the database that it raises as well.
    logging.getLogger("mlflow.store.db.utils").disabled = True
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


class Registry:
    """The versions of one registered model, seen from one environment."""

    def __init__(self, client: MlflowClient, environment: Environment) -> None:
        self.client = client
        self.model = environment.settings.model
        self.environment = environment.name
        self._champion = f"champion.{environment.name}"
        self._alias = f"champion-{environment.name}"  # what releases before 0.3.0 set

    def versions(self) -> list[ModelVersion]:
        """The versions that passed this environment's gate, in the order of their numbers."""
        found = [version for version in self._all() if version.passed("gate")]
        return sorted(found, key=lambda version: version.number)

    def champion(self) -> ModelVersion | None:
        """The version that last became this environment's champion."""
        found = self._found()
        last = max(found, key=self._turn, default=None)
        if last is None or self._turn(last):
            return self._read(last) if last else None
        aliased = self.client.get_registered_model(self.model).aliases.get(self._alias)
        return next((self._read(v) for v in found if v.version == aliased), None)

    def set_champion(self, version: ModelVersion) -> None:
        """Make a version this environment's champion."""
        found = self._found()
        turn = max((self._turn(other) for other in found), default=0)
        if turn and any(self._turn(v) == turn and int(v.version) == version.number for v in found):
            return
        self.set_tags(version, {self._champion: str(turn + 1)})

    def _turn(self, version: Any) -> int:
        return int(version.tags.get(self._champion, 0))

    def set_tags(self, version: ModelVersion, tags: dict[str, str]) -> ModelVersion:
        """Add tags to a version; the version as it is then."""
        for key, value in tags.items():
            self.client.set_model_version_tag(self.model, str(version.number), key, value)
        return self._read(self.client.get_model_version(self.model, str(version.number)))

    def register(self, run_id: str, tags: dict[str, str]) -> ModelVersion:
        """A new version from the model in a run's artifacts.

        A version with the same digest is that version already: registering again after a crash, or
        a training whose steps were all reused, adds none.
        """
        from mlflow.exceptions import MlflowException

        if there := self.find(tags["model_digest"]):
            return self.set_tags(there, {f"gate.{self.environment}": "passed"})
        self._create_model()
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{MODEL}"
        try:
            self.client.create_model_version(self.model, source, run_id, tags=tags)
        except MlflowException:
            # An answer can be lost after the work was done.
            if self.find(tags["model_digest"]) is None:
                raise
        # Or MLflow's client asked again.
        first, *doubles = self._with_digest(tags["model_digest"])
        for double in doubles:
            self.client.delete_model_version(self.model, str(double.number))
        return first

    def find(self, digest: str) -> ModelVersion | None:
        """The version that is made of these files, if there is one."""
        return next(iter(self._with_digest(digest)), None)

    def _with_digest(self, digest: str) -> list[ModelVersion]:
        same = [version for version in self._all() if version.digest == digest]
        return sorted(same, key=lambda version: version.number)

    def _create_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _all(self) -> list[ModelVersion]:
        return [self._read(version) for version in self._found()]

    def _found(self) -> list[Any]:
        versions: list[Any] = []
        token: str | None = None
        while token != "":
            page = self.client.search_model_versions(f"name = '{self.model}'", page_token=token)
            versions += page
            token = page.token or ""
        return versions

    def _read(self, version: Any) -> ModelVersion:
        created = datetime.datetime.fromtimestamp(
            version.creation_timestamp / 1000, datetime.timezone.utc
        )
        return ModelVersion(
            name=version.name,
            # MLflow and Azure give numbers as text; as text, 10 would come before 9.
            number=int(version.version),
            environment=self.environment,
            run_id=version.run_id,
            created=created.isoformat(timespec="seconds"),
            tags=dict(version.tags),
        )


def log_version(client: MlflowClient, run_id: str, model: Path, contract: Path) -> str:
    """Log what a version is made of, and return its digest: model, contract, and code.

    The code is that of the running job. It is part of the version because it predicts with the
    model: what was tested is what is deployed.
    """
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder)
        shutil.copytree(model, packed / MODEL)
        shutil.copyfile(contract, packed / MODEL / "contract.yml")
        shutil.copytree(SOURCE, packed / CODE, ignore=shutil.ignore_patterns(*NOT_CODE))
        client.log_artifacts(run_id, str(packed))
        return digest_version(packed)


def digest_version(files: Path) -> str:
    """The digest of a version's files: of its model with the contract, and of its code."""
    return digest_of({name: digest_path(files / name) for name in (MODEL, CODE)})
