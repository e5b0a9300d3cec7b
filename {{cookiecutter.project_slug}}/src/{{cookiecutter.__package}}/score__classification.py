"""How the model is loaded and asked: the same in evaluation and wherever it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.modelling import load_model


def load(folder: Path) -> Any:
    """The model that the train step saved."""
    return load_model(folder)


def predict(model: Any, features: pd.DataFrame) -> pd.DataFrame:
    """The most probable class, and the probability of each.

    Args:
        model: what `load` returned.
        features: n rows with the contract's features.

    Returns:
        n rows: `prediction`, and `probability_<class>` for each class.
    """
    probabilities = model.predict_proba(features)
    best = model.classes_[np.argmax(probabilities, axis=1)]
    names = [f"probability_{name}" for name in model.classes_]
    return pd.DataFrame({"prediction": best, **dict(zip(names, probabilities.T))})
