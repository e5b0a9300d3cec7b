"""The batch endpoint in Azure: a deployment per version, and jobs that score a table in pieces."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.batches import join_answers, replace_file, split_table
from mlops.contract import load_contract
from mlops.digests import digest_of, digest_path
from mlops.files import read_json, write_json
from mlops.project import Environment
from mlops.workspaces import ModelVersion, Report
from mlops.workspaces.azure.jobs import failure, follow, state_of, status_of

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

KEPT_DEPLOYMENTS = 5  # Azure allows 20 on an endpoint; one costs nothing while it scores nothing
OUTPUT = "score"  # Azure's name for what a batch deployment writes


class BatchEndpointInAzure:
    """The batch endpoint of one environment."""

    def __init__(
        self, client: MLClient, environment: Environment, folder: Path, memory: Path
    ) -> None:
        self._memory = memory
        self._client = client
        self._azure = environment.settings.azure
        self.name = environment.endpoint("batch")
        self._folder = folder

    def exists(self) -> bool:
        """Whether the endpoint is there, and was made to the end."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = self._client.batch_endpoints.get(self.name)
        except ResourceNotFoundError:
            return False
        return bool(found.provisioning_state != "Failed")

    def make(self) -> None:
        """Make the endpoint where it is not there."""
        from azure.ai.ml import load_batch_endpoint

        if not self.exists():
            file = self._folder / "endpoint.yml"
            endpoint = load_batch_endpoint(file, params_override=[{"name": self.name}])
            self._client.batch_endpoints.begin_create_or_update(endpoint).result()

    def deploy(self, version: ModelVersion, *, model: str, code: Path, image: str) -> str:
        """Make the deployment of a version where it is not there; its name."""
        from azure.ai.ml.entities._load_functions import load_model_batch_deployment

        self.make()
        name = f"version-{version.number}"
        file = self._folder / "deployment.yml"
        scale = self._azure.batch
        made_of = [
            image, model, self._azure.compute.name, scale and scale.model_dump(), digest_path(file)
        ]  # fmt: skip
        wanted = {"model_digest": version.digest, "made_of": digest_of(made_of)}
        ours = {
            found.name: found
            for found in self._client.batch_deployments.list(self.name)
            if "made_of" in (found.tags or {})
        }
        found = ours.get(name)
        if (
            found
            and found.provisioning_state == "Succeeded"
            and wanted.items() <= (found.tags or {}).items()
        ):
            return name
        others = sorted(ours.keys() - {name}, key=_number, reverse=True)
        for old in others[KEPT_DEPLOYMENTS - 1 :]:
            self._client.batch_deployments.begin_delete(old, self.name).result()
        changes: dict[str, Any] = {
            "name": name, "endpoint_name": self.name, "model": model, "environment": image,
            "compute": f"azureml:{self._azure.compute.name}", "tags": wanted,
            "code_configuration.code": str(code),
        }  # fmt: skip
        if scale:
            changes["resources.instance_count"] = scale.instance_count
            concurrency = scale.max_concurrency_per_instance
            changes["settings.max_concurrency_per_instance"] = concurrency
        deployment = load_model_batch_deployment(
            file,
            params_override=[{key: value} for key, value in changes.items()],
        )
        self._client.batch_deployments.begin_create_or_update(deployment).result()
        return name

    def score(
        self, deployment: str, files: Path, source: Path, target: Path, report: Report
    ) -> int:
        """Score the table `source` into `target`; the number of rows.

        Raises:
            ContractViolation: the table breaks the model's contract; nothing is sent.
            MlopsError: the job failed.
        """
        contract = load_contract(files / "model" / "contract.yml")
        with tempfile.TemporaryDirectory() as folder:
            pieces, answers = Path(folder) / "input", Path(folder) / "answers"
            rows = split_table(source, contract, pieces)
            report(f"{rows} rows obey the contract; scoring them ...")
            what = digest_of(
                [digest_path(source), self.name, deployment, digest_path(files / "model")]
            )
            name = self._job(what[:16], deployment, pieces, report)
            job, steps = follow(self._client, name, report)
            if status_of(job) != "Completed":
                raise failure(job, steps, "")
            self._client.jobs.download(name, download_path=answers, output_name=OUTPUT)
            result = Path(folder) / f"predictions{target.suffix}"
            join_answers(answers, result, rows)
            replace_file(result, target)
        return rows

    def _job(self, what: str, deployment: str, pieces: Path, report: Report) -> str:
        """The job that scores this: the one that was begun before, or a new one.

        We name it by what it scores; where Azure gives it a name of its own, this machine remembers.
        """
        from azure.ai.ml import Input

        memory = self._memory / f"{what}.json"
        attempt, name = 1, f"score-{what}"
        if memory.is_file():
            name = str(read_json(memory)["job"])
        while (state := state_of(self._client, name)) is not None:
            if state not in ("Failed", "Canceled"):
                report(f"{name} was begun before; following it")
                return name
            attempt += 1
            name = f"score-{what}-{attempt}"
        job = self._client.batch_endpoints.invoke(
            self.name, deployment_name=deployment, job_name=name,
            inputs={"data": Input(type="uri_folder", path=str(pieces))},
        )  # fmt: skip
        write_json(memory, {"job": job.name})
        report(f"{job.name} scores them")
        return str(job.name)


def _number(deployment: str) -> int:
    digits = deployment.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0
