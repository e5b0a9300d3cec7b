"""The train step: features and an estimator, fitted together and saved as one model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from mlops.contract import load_contract
from mlops.modelling import save_model

from .estimator import make_estimator
from .features import make_features


def train(
    prepared: Path,
    contract: Path,
    model: Path,
    learning_rate: float,
    max_iterations: int,
    seed: int,
) -> None:
    """Fit a model and save it.

    Args:
        prepared: the folder of the prepare step, with `train.parquet`.
        contract: the data contract.
        model: the output folder, an MLflow model.
        learning_rate: how much each tree corrects, between 0 and 1.
        max_iterations: the number of boosting iterations.
        seed: makes the fit repeatable.
    """
    rules = load_contract(contract)
    table = pd.read_parquet(prepared / "train.parquet")
    features, target = table[list(rules.features)], table[rules.target]
    if rules.classes:
        target = target.astype(str)  # a class is text everywhere, also where it is a number here
    transformer, categories = make_features(rules)
    estimator = make_estimator(categories, learning_rate, max_iterations, seed)
    fitted = Pipeline([("features", transformer), ("estimator", estimator)]).fit(features, target)
    save_model(fitted, model, rules, features)
    print(f"fitted on {len(table)} rows of {features.shape[1]} features")
