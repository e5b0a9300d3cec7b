"""Batch scoring on this machine: the batch deployment's script over pieces of a table."""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path

from mlops.batches import join_answers, replace_file, split_table
from mlops.contract import load_contract
from mlops.documents import read_yaml
from mlops.errors import MlopsError
from mlops.workspaces import Report
from mlops.workspaces.local import batch_driver
from mlops.workspaces.local.processes import code_environment, start, tail
from mlops.workspaces.registry import CODE


def score_in_batches(
    deployment_file: Path, folder: Path, files: Path, source: Path, target: Path, report: Report
) -> int:
    """Score the table `source` into `target`; the number of rows.

    Nothing is scored when a row breaks the contract, and `target` is replaced in one step at the
    end.

    Raises:
        ContractViolation: the table breaks the model's contract.
        MlopsError: the scoring script failed.
    """
    contract = load_contract(files / "model" / "contract.yml")
    work = folder / "batch" / uuid.uuid4().hex[:8]
    pieces, answers = work / "input", work / "answers"
    try:
        answers.mkdir(parents=True)
        rows = split_table(source, contract, pieces)
        report(f"{rows} rows obey the contract; scoring them ...")
        settings = read_yaml(deployment_file).data["code_configuration"]
        code = files / CODE
        result = work / f"predictions{target.suffix}"
        log = work / "log.txt"
        with log.open("wb") as stream:
            status = start(
                [sys.executable, batch_driver.__file__, str(code / settings["scoring_script"]),
                 str(pieces), str(answers)],
                folder=code, log=stream,
                environment=code_environment(code, AZUREML_MODEL_DIR=str(files)),
            ).wait()  # fmt: skip
        if status:
            raise MlopsError(f"the batch scoring script failed; the end of its log:\n{tail(log)}")
        join_answers(answers, result, rows)
        replace_file(result, target)
        return rows
    finally:
        shutil.rmtree(work, ignore_errors=True)
