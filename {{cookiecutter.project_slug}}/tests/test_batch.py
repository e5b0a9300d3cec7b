"""The batch endpoint: what `mlops score` does."""

from pathlib import Path

import pandas as pd

from mlops.contract import Contract
from mlops.inference import score_table
from mlops.tables import read_table
from mlops.training import Training
from mlops.workspaces import Workspace


def test_every_row_of_a_table_is_scored_in_order(
    workspace: Workspace, trained: Training, sample: Path, contract: Contract, tmp_path: Path
) -> None:
    assert trained.version, trained.decision.refusals
    target = tmp_path / "scores.parquet"
    version, rows = score_table(workspace, sample, target, trained.version.number, report=print)
    table, scores = read_table(sample, contract), pd.read_parquet(target)
    assert version.number == trained.version.number
    assert len(scores) == len(table) == rows
    assert scores["prediction"].notna().all()
    if contract.id:
        assert list(scores[contract.id]) == list(table[contract.id])
