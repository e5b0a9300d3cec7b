"""A scikit-learn model: validating it, saving it as MLflow keeps it, and loading it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract
from mlops.documents import read_yaml
from mlops.workspaces.registry import quiet_mlflow

if TYPE_CHECKING:
    import pandas as pd

# What a model needs to be loaded; named here because inferring it costs MLflow nine seconds.
REQUIREMENTS = ("mlflow", "scikit-learn", "pandas", "skops")


def cross_validate(
    model: Any,
    predict: Callable[[Any, pd.DataFrame], pd.DataFrame],
    contract: Contract,
    features: pd.DataFrame,
    target: pd.Series,
    folds: int,
    seed: int,
) -> dict[str, float]:
    """The mean of each metric over the folds, each predicted by a model fitted on the others.

    Args:
        model: a scikit-learn estimator; copies of it are fitted, and not itself.
        predict: from a fitted model and n rows to their predictions, as `mlops.metrics` takes them.
        contract: gives the problem type and the classes.
        features: the training rows.
        target: their target.
        folds: how many, 2 or more. Each has its share of every class.
        seed: makes the folds repeatable.
    """
    import numpy as np
    from sklearn.base import clone
    from sklearn.model_selection import KFold, StratifiedKFold

    from mlops.metrics import compute

    kind = StratifiedKFold if contract.classes else KFold
    found = []
    for fitted_on, left_out in kind(folds, shuffle=True, random_state=seed).split(features, target):
        fitted = clone(model).fit(features.iloc[fitted_on], target.iloc[fitted_on])
        answers = predict(fitted, features.iloc[left_out])
        found.append(compute(contract, target.iloc[left_out], answers))
    return {name: float(np.mean([metrics[name] for metrics in found])) for name in found[0]}


def log_validation(metrics: dict[str, float]) -> None:
    """Log metrics into the run of the job, as `validation_<name>`: a search compares them.

    The gate's metrics, on the held-out rows, have the bare names.
    """
    named = {f"validation_{name}": value for name, value in metrics.items()}
    for name, value in named.items():
        print(f"{name}: {value:.4g}")
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        quiet_mlflow()
        from mlflow import MlflowClient

        client = MlflowClient()
        for name, value in named.items():
            client.log_metric(run_id, name, value)


def save_model(model: Any, folder: Path, contract: Contract, features: pd.DataFrame) -> None:
    """Save a fitted scikit-learn estimator with its signature and an input example.

    Args:
        model: the estimator; it predicts from the contract's features.
        folder: an empty folder.
        contract: makes the signature.
        features: rows, of which the first becomes the input example.
    """
    quiet_mlflow()
    import mlflow.sklearn
    import skops.io

    # skops loads only types that are known to be harmless or are named here. What we trained
    # ourselves a moment ago is; whoever loads it sees the list in the file MLmodel.
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=contract.signature(),
        input_example=features.head(1),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        skops_trusted_types=trusted,
    )


def load_model(folder: Path) -> Any:
    """Load a model that `save_model` saved.

    The same as `mlflow.sklearn.load_model`, without importing MLflow: a server that only
    predicts starts in two thirds of the time.
    """
    import skops.io

    sklearn = read_yaml(folder / "MLmodel").data["flavors"]["sklearn"]
    return skops.io.load(folder / sklearn["pickled_model"], trusted=sklearn["skops_trusted_types"])
