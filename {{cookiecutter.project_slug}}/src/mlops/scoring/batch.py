"""The scoring script of the batch deployment: `init` once, then `run` for each mini-batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.scoring.model import ServedModel, load_served_model
from mlops.tables import read_table
from mlops.validation import validate_table

if TYPE_CHECKING:
    import pandas as pd

served: ServedModel


def init() -> None:
    """Load the model."""
    global served
    served = load_served_model()


def run(mini_batch: list[str]) -> pd.DataFrame:
    """Score files; a row for each of their rows, in order: the id, if there is one, and the answer.

    In Azure, mini-batches run side by side: the answers to each file are written to a file of its
    name as well, so that they can be put together in the order of the rows.

    Raises:
        ContractViolation: a file breaks the contract; nothing of the mini-batch is scored.
    """
    import pandas as pd

    contract = served.contract
    output = os.environ.get("AZUREML_BI_OUTPUT_PATH")
    answers = []
    for file in mini_batch:
        table = validate_table(read_table(Path(file), contract), contract, target=False)
        answer = served.predict(table[list(contract.features)]).reset_index(drop=True)
        if contract.id in table.columns:
            answer.insert(0, contract.id, table[contract.id])
        if output:
            answer.to_parquet(Path(output) / f"{Path(file).stem}.parquet", index=False)
        answers.append(answer)
    return pd.concat(answers, ignore_index=True)
