"""The train step: features and an estimator, fitted together and saved as one model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from mlops.contract import load_contract
from mlops.modelling import cross_validate, log_validation, save_model

from . import score
from .estimator import make_estimator
from .features import make_features


def train(
    prepared: Path,
    contract: Path,
    model: Path,
    learning_rate: float,
    max_iterations: int,
    seed: int,
    folds: int = 0,
) -> None:
    """Fit a model and save it.

    Args:
        prepared: the folder of the prepare step, with `train.parquet`.
        contract: the data contract.
        model: the output folder, an MLflow model.
        learning_rate: how much each tree corrects, between 0 and 1.
        max_iterations: the number of boosting iterations.
        seed: makes the fit repeatable.
        folds: log metrics of a cross-validation on the training rows with so many folds, which a
            search compares; 0: none. The model is fitted on all training rows either way.
    """
    rules = load_contract(contract)
    table = pd.read_parquet(prepared / "train.parquet")
    features, target = table[list(rules.features)], table[rules.target]
    if rules.classes:
        target = target.astype(str)  # a class is text everywhere, also where it is a number here
    transformer, categories = make_features(rules)
    estimator = make_estimator(categories, learning_rate, max_iterations, seed)
    pipeline = Pipeline([("features", transformer), ("estimator", estimator)])
    if folds:
        log_validation(
            cross_validate(pipeline, score.predict, rules, features, target, folds, seed)
        )
    fitted = pipeline.fit(features, target)
    save_model(fitted, model, rules, features)
    print(f"fitted on {len(table)} rows of {features.shape[1]} features")
