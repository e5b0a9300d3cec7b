"""Which features a model leans on."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from sklearn.inspection import permutation_importance

from mlops.contract import Contract

ROWS = 1_000
FEATURES_SHOWN = 15


def draw_importance(axes: Axes, contract: Contract, model: Any, table: pd.DataFrame) -> None:
    """How much the model's score falls when a feature's values are shuffled.

    Source: scikit-learn, `sklearn.inspection.permutation_importance`.
    """
    sample = table.sample(min(len(table), ROWS), random_state=0)
    features = sample[list(contract.features)]
    target = sample[contract.target].astype(str if contract.classes else float)
    result = permutation_importance(model, features, target, n_repeats=3, random_state=0)
    order = result.importances_mean.argsort()[-FEATURES_SHOWN:]
    axes.barh([features.columns[i] for i in order], result.importances_mean[order])
    axes.set(xlabel="fall of the score when shuffled", title="Feature importance")
