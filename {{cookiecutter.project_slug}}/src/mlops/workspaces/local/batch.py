"""Batch scoring on this machine: the batch deployment's script over pieces of a table."""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path

from mlops.contract import load_contract
from mlops.documents import read_yaml
from mlops.errors import MlopsError
from mlops.tables import iterate_table
from mlops.validation import TableCheck
from mlops.workspaces import Report
from mlops.workspaces.local import batch_driver
from mlops.workspaces.local.processes import code_environment, start, tail
from mlops.workspaces.registry import CODE


def score_in_batches(
    deployment_file: Path, folder: Path, files: Path, source: Path, target: Path, report: Report
) -> int:
    """Score the table `source` into `target`; the number of rows.

    The whole table is checked first, so that nothing is scored when a row breaks the contract.
    Memory does not grow with the rows, and `target` is replaced in one step at the end.

    Raises:
        ContractViolation: the table breaks the model's contract.
        MlopsError: the scoring script failed.
    """
    contract = load_contract(files / "model" / "contract.yml")
    check = TableCheck(contract, target=False)
    work = folder / "batch" / uuid.uuid4().hex[:8]
    pieces = work / "input"
    pieces.mkdir(parents=True)
    try:
        for number, table in enumerate(iterate_table(source, contract)):
            checked = check.check(table)
            if check.passed:
                checked.to_parquet(pieces / f"{number:06d}.parquet", index=False)
        check.close()
        report(f"{check.rows} rows obey the contract; scoring them ...")
        settings = read_yaml(deployment_file).data["code_configuration"]
        code = files / CODE
        result = work / f"predictions{target.suffix}"
        log = work / "log.txt"
        with log.open("wb") as stream:
            status = start(
                [sys.executable, batch_driver.__file__, str(code / settings["scoring_script"]),
                 str(pieces), str(result)],
                folder=code, log=stream,
                environment=code_environment(code, AZUREML_MODEL_DIR=str(files)),
            ).wait()  # fmt: skip
        if status:
            raise MlopsError(f"the batch scoring script failed; the end of its log:\n{tail(log)}")
        _move(result, target)
        return check.rows
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(result: Path, target: Path) -> None:
    """Replace `target` in one step, also where it lies on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        shutil.copyfile(result, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
