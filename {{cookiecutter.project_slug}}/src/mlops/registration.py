"""The register step: passes a trained model through the gate and, if it may, registers it.

Runs inside the job, on a laptop and in Azure, so that a scheduled training needs nobody's
machine. It never fails because of a refusal: the decision is its output, and the job's result.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract, load_contract
from mlops.decisions import Check, Decision, now
from mlops.documents import read_yaml, validate
from mlops.errors import UsageError
from mlops.files import read_json, write_json, write_text
from mlops.gate import (
    absolute_checks,
    champion_check,
    incomparable,
    incomparable_check,
    no_champion_check,
)
from mlops.model_card import model_card
from mlops.project import Environment
from mlops.settings import EnvironmentSettings
from mlops.step import run, step_module
from mlops.workspaces import ModelVersion
from mlops.workspaces.registry import (
    DECISION,
    EVALUATION,
    HELD_OUT,
    MODEL,
    Registry,
    log_version,
    quiet_mlflow,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


OF_THE_JOB = ("data_version", "data_window", "retraining")
"""The tags of a job that a version gets, too: which data it read, and who asked for it."""


def register(
    prepared: Path, model: Path, evaluation: Path, contract: Path, environment: Path, decision: Path
) -> None:
    """Pass a model through the gate and register it.

    Args:
        prepared: the folder of the prepare step, with `held_out.parquet` and `summary.json`.
        model: the folder of the trained MLflow model.
        evaluation: the folder of the evaluate step.
        contract: the data contract.
        environment: the settings of the environment, `environments/<name>.yml`.
        decision: the folder that gets `decision.json` and `model_card.md`.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        raise UsageError("MLFLOW_RUN_ID is not set: the register step runs inside a job")
    document = read_yaml(environment)
    settings = validate(document, EnvironmentSettings)
    client = MlflowClient()
    registry = Registry(client, Environment(settings.name, settings, document))
    rules, result = load_contract(contract), read_json(evaluation / "evaluation.json")
    lineage = _lineage(client, run_id, prepared, rules, result)
    champion = registry.champion()
    with tempfile.TemporaryDirectory() as folder:
        checks = gate_checks(
            settings,
            rules,
            result,
            evaluation / "predictions.parquet",
            prepared / "held_out.parquet",
            lineage,
            champion,
            _download(client, champion, folder),
        )
    decided = Decision(
        kind="gate", environment=settings.name, model=settings.model,
        checks=checks, facts=lineage, time=now(),
    )  # fmt: skip
    _log_evidence(client, run_id, evaluation, prepared, result)
    if decided.accepted:
        lineage["model_digest"] = log_version(client, run_id, model, contract)
        lineage[f"gate.{settings.name}"] = "passed"
        version = registry.register(run_id, lineage)
        if settings.champion_test == "gate":
            registry.set_champion(version)
        decided = decided.model_copy(update={"version": version.number, "facts": lineage})
    write_json(decision / "decision.json", decided.record())
    write_text(decision / "model_card.md", model_card(decided, rules, result))
    shutil.copytree(evaluation / "plots", decision / "plots")
    client.log_artifacts(run_id, str(decision), DECISION)
    client.set_tag(run_id, "gate", "accepted" if decided.accepted else "refused")
    print(f"gate: {'accepted' if decided.accepted else 'refused'}")
    for check in decided.checks:
        print(f"  {check.show()}")


def gate_checks(
    settings: EnvironmentSettings,
    contract: Contract,
    evaluation: dict[str, Any],
    predictions: Path,
    held_out: Path,
    lineage: dict[str, str],
    champion: ModelVersion | None,
    champion_model: Path | None,
) -> tuple[Check, ...]:
    """All checks of a gate: the floors, and the champion on the same held-out rows.

    Args:
        settings: the environment's, with the gate.
        contract: the challenger's.
        evaluation: what `mlops.metrics.evaluate` said of the challenger.
        predictions: the challenger's answers for the held-out rows.
        held_out: the rows.
        lineage: the challenger's tags.
        champion: the version to compare with, if there is one.
        champion_model: the folder of its model.
    """
    checks = absolute_checks(settings.gate, contract, evaluation)
    if champion is None or champion_model is None:
        return (*checks, no_champion_check(settings.gate))
    name = f"{champion.environment}'s champion, version {champion.number}"
    asked = load_contract(champion_model / "contract.yml")
    if reason := incomparable(contract, lineage, asked, champion.tags):
        return (*checks, incomparable_check(settings.gate, name, reason))
    import pandas as pd

    table = pd.read_parquet(held_out)
    score = step_module("score")
    answers = score.predict(score.load(champion_model), table[list(asked.features)])
    truth = table[contract.target]
    ours = pd.read_parquet(predictions)
    return (*checks, champion_check(settings.gate, contract, truth, ours, answers, name))


def _download(client: MlflowClient, version: ModelVersion | None, folder: str) -> Path | None:
    if version is None:
        return None
    return Path(client.download_artifacts(version.run_id, MODEL, folder))


def _lineage(
    client: MlflowClient, run_id: str, prepared: Path, contract: Contract, result: dict[str, Any]
) -> dict[str, str]:
    # In Azure each step has a run of its own, and the job's run is the root of them.
    job = os.environ.get("AZUREML_ROOT_RUN_ID")
    tags = client.get_run(job or run_id).data.tags
    summary = read_json(prepared / "summary.json")
    until = _newest(prepared, contract)
    return {
        "git_commit": tags.get("git_commit", "unknown"),
        "git_dirty": tags.get("git_dirty", "unknown"),
        "data_digest": summary["data_digest"],
        **{name: tags[name] for name in OF_THE_JOB if name in tags},
        **({"data_rows": str(summary["rows"])} if "rows" in summary else {}),
        **({"data_until": until} if until else {}),
        "split": json.dumps(summary["split"]),
        "contract_digest": contract.digest,
        "metrics": json.dumps({k: v and round(v, 6) for k, v in result["metrics"].items()}),
        "job": job or tags.get("mlflow.runName", run_id),
    }


def _newest(prepared: Path, contract: Contract) -> str:
    """The time of the newest row, in ISO 8601 in UTC; empty where the rows have none."""
    from pyarrow import parquet

    from mlops.validation import instants

    newest = None
    for name in ("train.parquet", "held_out.parquet"):
        if contract.timestamp is None or not (prepared / name).is_file():
            continue
        file = parquet.ParquetFile(prepared / name)
        if contract.timestamp not in file.schema_arrow.names:
            continue
        for batch in file.iter_batches(columns=[contract.timestamp]):
            last = instants(batch.column(0).to_pandas()).max()
            if last == last and (newest is None or last > newest):  # not NaT
                newest = last
    # To the microsecond above: no row that was seen is newer.
    return "" if newest is None else f"{newest.ceil('us').isoformat()}+00:00"


def _log_evidence(
    client: MlflowClient, run_id: str, evaluation: Path, prepared: Path, result: dict[str, Any]
) -> None:
    for name, value in result["metrics"].items():
        if value is not None:
            client.log_metric(run_id, name, value)
    client.log_artifacts(run_id, str(evaluation), EVALUATION)
    client.log_artifact(run_id, str(prepared / "held_out.parquet"), HELD_OUT)


if __name__ == "__main__":
    sys.exit(run(register, "python -m mlops.registration", sys.argv[1:]))
