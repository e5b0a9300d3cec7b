"""How the model is loaded and asked: the same in evaluation and wherever it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mlops.modelling import load_model


def load(folder: Path) -> Any:
    """The model that the train step saved."""
    return load_model(folder)


def predict(model: Any, features: pd.DataFrame) -> pd.DataFrame:
    """The predicted value, in the target's unit.

    Args:
        model: what `load` returned.
        features: n rows with the contract's features.

    Returns:
        n rows with the column `prediction`.
    """
    return pd.DataFrame({"prediction": model.predict(features)})
