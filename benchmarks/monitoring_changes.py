"""Rows for `monitoring_errors.py`: features of many kinds, and changes of which the size is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Rng = np.random.Generator


def features(draw: Rng, rows: int) -> dict[str, pa.Array]:
    """Rows of 30 features: normal, correlated, skewed, discrete, with nulls, and categories."""
    common = draw.normal(size=rows)
    columns: dict[str, Any] = {f"normal_{i}": draw.normal(size=rows) for i in range(8)}
    columns |= {
        f"correlated_{i}": np.sqrt(0.8) * common + np.sqrt(0.2) * draw.normal(size=rows)
        for i in range(6)
    }
    columns |= {f"skewed_{i}": draw.lognormal(0, 0.8, rows) for i in range(5)}
    means = (0.2, 1, 3, 20)
    columns |= {f"discrete_{i}": draw.poisson(mean, rows) * 1.0 for i, mean in enumerate(means)}
    columns |= {f"category_{i}": labels(draw, rows, shares) for i, shares in enumerate(SHARES)}
    for i, share in enumerate(NULLS):
        columns[f"holes_{i}"] = np.where(draw.random(rows) < share, np.nan, draw.normal(size=rows))
    return {name: pa.array(values) for name, values in columns.items()}


def zipf(values: int) -> list[float]:
    """Shares of some values, of which most are rare."""
    weights = 1 / np.arange(1, values + 1) ** 1.5
    return list(weights / weights.sum())


SHARES = ([0.7, 0.3], [0.25] * 4, [0.5, 0.3, 0.15, 0.02, 0.02, 0.01], zipf(20), zipf(200))
NULLS = (0.05, 0.1)
MOVED = [0.55, 0.15, 0.15, 0.15]  # of the second: one share rises by 30 % of the rows


def labels(draw: Rng, rows: int, shares: Sequence[float]) -> Any:
    """Categories with these shares."""
    return np.array([f"value {i}" for i in range(len(shares))], object)[
        draw.choice(len(shares), rows, p=shares)
    ]


CHANGES = {
    "a normal feature by 0.25 standard deviations": ("data_drift", "normal_0"),
    "a normal feature by 0.5": ("data_drift", "normal_1"),
    "a normal feature by 1": ("data_drift", "normal_2"),
    "a discrete feature (Poisson, mean 3) by 1": ("data_drift", "discrete_2"),
    "the spread of a normal feature, doubled": ("data_drift", "normal_3"),
    "one of four categories, from 25 % to 55 %": ("data_drift", "category_1"),
    "nulls, from 5 % to 10 %": ("data_quality", "holes_0"),
    "nulls, from none to 5 %": ("data_quality", "normal_4"),
    "another unit: a factor of 10": ("data_quality", "normal_5"),
    "a category never seen before, in 5 %": ("data_quality", "category_0"),
    "a category never seen before, in 10 %": ("data_quality", "category_2"),
}


def changed(draw: Rng, given: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The same rows, with each of the changes in a feature of its own."""
    old = {name: column.to_numpy(zero_copy_only=False) for name, column in given.items()}
    rows = len(old["normal_0"])
    unseen = {
        name: np.where(draw.random(rows) < share, "new", old[name])
        for name, share in (("category_0", 0.05), ("category_2", 0.1))
    }
    moved = {
        "normal_0": old["normal_0"] + 0.25,
        "normal_1": old["normal_1"] + 0.5,
        "normal_2": old["normal_2"] + 1,
        "normal_3": old["normal_3"] * 2,
        "normal_4": np.where(draw.random(rows) < 0.05, np.nan, old["normal_4"]),
        "normal_5": old["normal_5"] * 10,
        "discrete_2": draw.poisson(3 + np.sqrt(3), rows) * 1.0,
        "category_1": labels(draw, rows, MOVED),
        **unseen,
        "holes_0": np.where(draw.random(rows) < 0.1, np.nan, draw.normal(size=rows)),
    }
    return given | {name: pa.array(values) for name, values in moved.items()}


ANSWERS = "the model's log-odds by one standard deviation"
CONFUSIONS = {
    "accuracy at the floor, even classes": [[0.425, 0.075], [0.075, 0.425]],
    "recall at the floor, classes 80 : 20": [[0.776, 0.024], [0.054, 0.146]],
    "accuracy 10 points below, even classes": [[0.375, 0.125], [0.125, 0.375]],
    "recall 10 points below, classes 80 : 20": [[0.72, 0.08], [0.08, 0.12]],
}
"""Shares of true and given class; whatever else has a threshold is above it, or at it, in the first two."""
ERRORS = {"errors at the limit": 1.0, "errors a quarter greater": 1.25}
T5_MAE, T5_RMSE = 0.9490, np.sqrt(5 / 3)  # of Student's t with 5 degrees of freedom


def answers(draw: Rng, rows: int, shift: float = 0.0) -> dict[str, pa.Array]:
    """What a model of two classes says: log-odds of standard deviation 1.5, 0.7 below even."""
    probable = 1 / (1 + np.exp(-draw.normal(shift - 0.7, 1.5, rows)))
    classes = np.where(probable > 0.5, "yes", "no").astype(object)
    return {"prediction": pa.array(classes), "probability_yes": pa.array(probable)}
