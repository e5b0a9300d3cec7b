"""The plots of a classifier: ROC curves, confusion matrix, feature importance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from mlops.contract import Contract

from .importance import draw_importance


def draw(
    contract: Contract, model: Any, table: pd.DataFrame, predictions: pd.DataFrame, folder: Path
) -> list[str]:
    """Draw each plot into `folder` as PNG, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = table[contract.target].astype(str)
    figures = {
        "roc": _roc(contract, truth, predictions),
        "confusion_matrix": Figure(figsize=(5, 4), layout="constrained"),
        "feature_importance": Figure(figsize=(7, 5), layout="constrained"),
    }
    ConfusionMatrixDisplay.from_predictions(
        truth,
        predictions["prediction"],
        labels=contract.classes,
        ax=figures["confusion_matrix"].subplots(),
        colorbar=False,
        cmap="Blues",
    )
    draw_importance(figures["feature_importance"].subplots(), contract, model, table)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
    return list(figures)


def _roc(contract: Contract, truth: pd.Series, predictions: pd.DataFrame) -> Figure:
    """One curve per class against the rest; for two classes, one for the second."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    classes = contract.classes[1:] if len(contract.classes) == 2 else contract.classes
    for name in classes:
        is_class = truth == name
        if is_class.any() and not is_class.all():
            RocCurveDisplay.from_predictions(
                is_class, predictions[f"probability_{name}"], name=name, ax=axes
            )
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    return figure
