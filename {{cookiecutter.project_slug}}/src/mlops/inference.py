"""Scoring from a person's side: a request from a file, a table into a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlops.batch_collection import collect_batch
from mlops.contract import load_contract
from mlops.errors import Refused, UsageError
from mlops.project import Environment
from mlops.versions import find_version
from mlops.workspaces import ModelVersion, Report, Response, Workspace


def request_from(path: Path | None, contract: Path) -> bytes:
    """The request in a file, or one row made from the contract."""
    if path is None:
        return json.dumps({"input_data": load_contract(contract).examples(1)}).encode("utf-8")
    if not path.is_file():
        raise UsageError(
            f'{path}: there is no such file; write a request such as {{"input_data": [...]}}'
        )
    return path.read_bytes()


def record_of(response: Response) -> dict[str, Any]:
    """A response as JSON holds it."""
    try:
        body = json.loads(response.body)
    except ValueError:
        body = response.body
    return {
        "status": response.status,
        "deployment": response.deployment,
        "milliseconds": round(response.milliseconds, 1),
        "body": body,
    }


def score_table(
    workspace: Workspace, source: Path, target: Path, number: int | None, *, report: Report
) -> tuple[ModelVersion, int]:
    """Score a table with the environment's champion, or with a version of it, and collect that.

    Raises:
        UsageError: there is no batch endpoint, the input is missing, or the output's ending is
            unknown.
        ContractViolation: a row breaks the contract; nothing is scored.
    """
    endpoint = workspace.environment.endpoint("batch")
    if target.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{target}: only .parquet and .csv files can be written")
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file in it")
    if not source.is_file():
        raise UsageError(f"{source}: there is no such file; give a Parquet or CSV file")
    version = find_version(workspace, number) if number is not None else workspace.champion()
    if version is None:
        raise Refused(_no_champion(workspace.environment))
    report(f"{endpoint} scores {source} with {version} ...")
    rows = workspace.score(version, source, target, report)
    if workspace.environment.settings.monitoring.collect_batches:
        collect_batch(workspace, version, source, target, report)
    return version, rows


def _no_champion(environment: Environment) -> str:
    tests = " and ".join(environment.settings.tests)
    return (
        f"{environment.name} has no champion yet: a version becomes it when it passes the {tests} "
        f"there; `mlops status` shows the versions, `--version` scores with any of them"
    )
