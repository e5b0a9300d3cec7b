"""The plots of a regressor: residuals, predicted against true values, feature importance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import PredictionErrorDisplay

from mlops.contract import Contract

from .importance import draw_importance


def draw(
    contract: Contract, model: Any, table: pd.DataFrame, predictions: pd.DataFrame, folder: Path
) -> list[str]:
    """Draw each plot into `folder` as PNG, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"residuals": "residual_vs_predicted", "predictions": "actual_vs_predicted"}
    figures = {name: Figure(figsize=(6, 5), layout="constrained") for name in kinds}
    for name, kind in kinds.items():
        PredictionErrorDisplay.from_predictions(
            table[contract.target],
            predictions["prediction"],
            kind=kind,
            ax=figures[name].subplots(),
            scatter_kwargs={"alpha": 0.5},
        )
    figures["feature_importance"] = Figure(figsize=(7, 5), layout="constrained")
    draw_importance(figures["feature_importance"].subplots(), contract, model, table)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
    return list(figures)
