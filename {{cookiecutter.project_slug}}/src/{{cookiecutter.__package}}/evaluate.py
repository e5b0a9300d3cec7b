"""The evaluate step: metrics with intervals and per slice, and plots, on the held-out rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlops import metrics
from mlops.contract import load_contract
from mlops.files import write_json

from . import score
from .plots import draw


def evaluate(prepared: Path, model: Path, contract: Path, evaluation: Path) -> None:
    """Write `evaluation.json`, `predictions.parquet` and `plots/*.png` into `evaluation`.

    Args:
        prepared: the folder of the prepare step, with `held_out.parquet`.
        model: the folder of the trained model.
        contract: the data contract.
        evaluation: the output folder.
    """
    rules = load_contract(contract)
    table = pd.read_parquet(prepared / "held_out.parquet")
    fitted = score.load(model)
    predictions = score.predict(fitted, table[list(rules.features)])
    result = metrics.evaluate(rules, table, predictions)
    result["plots"] = draw(rules, fitted, table, predictions, evaluation / "plots")
    predictions.to_parquet(evaluation / "predictions.parquet", index=False)
    write_json(evaluation / "evaluation.json", result)
    for name, value in result["metrics"].items():
        low, high = result["intervals"][name]
        print(f"{name}: {value:.4g} ({low:.4g} to {high:.4g})")
