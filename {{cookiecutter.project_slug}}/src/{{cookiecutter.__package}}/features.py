"""From the contract's columns to what a model can learn from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OrdinalEncoder

from mlops.contract import Contract

# HistGradientBoosting takes at most 255 categories; rarer ones become one.
MAXIMUM_CATEGORIES = 250


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Timestamps as numbers: days since 1970, month, weekday and hour; NaN where missing."""

    def fit(self, table: pd.DataFrame, target: object = None) -> DateParts:
        """Nothing is learned."""
        self.n_features_in_ = table.shape[1]
        return self

    def transform(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Four columns for each column of timestamps."""
        parts: list[pd.Series] = []
        for name in table.columns:
            instants = pd.to_datetime(table[name])
            days = (instants - pd.Timestamp(0)) / pd.Timedelta(days=1)
            parts += [days, instants.dt.month, instants.dt.weekday, instants.dt.hour]
        return np.column_stack([part.to_numpy("float64") for part in parts])


def make_features(contract: Contract) -> tuple[ColumnTransformer, list[int]]:
    """A transformer of the contract's features, and which of its outputs are categories.

    Numbers pass through, categories become codes, timestamps become parts. A missing category is
    one of its own; other missing values, and categories never seen, are NaN: the model takes them
    as they are.
    """

    def named(*types: str) -> list[str]:
        return [name for name, column in contract.features.items() if column.type in types]

    categories, numbers, dates = (
        named("category", "boolean"),
        named("number", "integer"),
        named("timestamp"),
    )
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=MAXIMUM_CATEGORIES,
    )
    parts = [
        ("categories", codes, categories),
        ("numbers", "passthrough", numbers),
        ("dates", DateParts(), dates),
    ]
    present = [part for part in parts if part[2]]
    return ColumnTransformer(present), list(range(len(categories)))
