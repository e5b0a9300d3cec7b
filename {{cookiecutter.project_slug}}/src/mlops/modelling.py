"""Saving a trained scikit-learn model as MLflow keeps it, and loading it."""

from __future__ import annotations

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
