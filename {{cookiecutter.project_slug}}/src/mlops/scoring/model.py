"""The model of a deployment, with the contract that travelled with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract, load_contract
from mlops.step import step_module

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ServedModel:
    """A loaded model and how the project's own `score.py` predicts with it."""

    contract: Contract
    model: Any
    score: Any

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """One row of answers per row of features."""
        answers: pd.DataFrame = self.score.predict(self.model, features)
        return answers


def load_served_model() -> ServedModel:
    """The model under AZUREML_MODEL_DIR, which Azure sets."""
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    found = sorted(folder.rglob("MLmodel"))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} must hold one MLflow model, but holds {len(found)}")
    model, score = found[0].parent, step_module("score")
    return ServedModel(load_contract(model / "contract.yml"), score.load(model), score)
