"""The metrics of a model on held-out rows, with confidence intervals, per slice, and paired.

Every metric is computed for many weightings of the rows at once: a bootstrap resample is a row's
count in it, so a thousand resamples are one matrix, where a call per resample would take seconds.
The definitions are scikit-learn's (`sklearn.metrics`), and the tests compare with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Booleans = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
RESAMPLES = 1000
# So many weights are in memory at once: 40 MB.
WEIGHTS_AT_ONCE = 5_000_000


@dataclass(frozen=True)
class Metric:
    """A metric's name, and whether a greater value is better."""

    name: str
    greater_is_better: bool = True

    def worse(self, value: float, limit: float) -> bool:
        """Whether `value` is worse than `limit`; a value that could not be computed is."""
        return not (value >= limit if self.greater_is_better else value <= limit)


METRICS: dict[str, dict[str, Metric]] = {
    "classification": {
        metric.name: metric
        for metric in (
            Metric("accuracy"),
            Metric("precision"),
            Metric("recall"),
            Metric("f1"),
            Metric("roc_auc"),
            Metric("log_loss", greater_is_better=False),
        )
    },
    "regression": {
        metric.name: metric
        for metric in (
            Metric("mae", greater_is_better=False),
            Metric("mse", greater_is_better=False),
            Metric("rmse", greater_is_better=False),
            Metric("r2"),
        )
    },
}


def compute(contract: Contract, truth: pd.Series, predictions: pd.DataFrame) -> dict[str, float]:
    """Each metric of the problem type on these rows; NaN where the rows do not define it.

    Args:
        contract: gives the problem type and the classes.
        truth: the target, n rows.
        predictions: n rows in the same order; column `prediction`, and for a classification
            one column `probability_<class>` per class.

    Precision, recall and F1 are macro averages over the classes; ROC AUC is one-versus-rest,
    macro, for more than two classes.
    """
    import numpy as np

    values = _weighted(contract, truth, predictions, np.ones((1, len(truth))))
    return {name: float(value[0]) for name, value in values.items()}


def evaluate(contract: Contract, table: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """All that is said of a model: `rows`, `metrics`, their `intervals`, and `slices`.

    Intervals are percentile bootstrap intervals at 95 %, of 1000 resamples with a fixed seed.
    Slices are those of the contract, each with `rows` and `metrics`.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    truth = table[contract.target]
    (resampled,) = _resample(contract, truth, [predictions])
    tail = (1 - CONFIDENCE) / 2
    return {
        "rows": len(table),
        "metrics": compute(contract, truth, predictions),
        "intervals": {
            name: [_quantile(values, tail), _quantile(values, 1 - tail)]
            for name, values in resampled.items()
        },
        "slices": {
            name: {
                "rows": int(rows.sum()),
                "metrics": compute(contract, truth[rows], predictions[rows.to_numpy()]),
            }
            for name, rows in slices(contract, table)
        },
    }


def paired_difference(
    contract: Contract,
    metric: Metric,
    truth: pd.Series,
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    confidence: float,
) -> tuple[float, float]:
    """By how much the challenger is better than the champion on the same rows.

    Returns:
        The difference and its one-sided lower confidence bound, both in the metric's unit and
        positive where the challenger is better. The rows are resampled in pairs, so noise that
        both models share cancels out.
    """
    sign = 1.0 if metric.greater_is_better else -1.0
    ours, theirs = (
        compute(contract, truth, predictions)[metric.name] for predictions in (challenger, champion)
    )
    resampled = _resample(contract, truth, [challenger, champion])
    differences = sign * (resampled[0][metric.name] - resampled[1][metric.name])
    return sign * (ours - theirs), _quantile(differences, 1 - confidence)


def slices(contract: Contract, table: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """The contract's slices that have rows here: a name such as `age [40, 60)`, and a mask."""
    for part in contract.slices:
        values = table[part.column]
        if not part.edges:
            for value in sorted(values.dropna().unique(), key=str):
                yield f"{part.column} = {value}", values == value
        else:
            edges = [float("-inf"), *part.edges, float("inf")]
            for low, high in itertools.pairwise(edges):
                rows = (values >= low) & (values < high)
                if rows.any():
                    yield f"{part.column} {_interval(low, high)}", rows
        if values.isna().any():
            yield f"{part.column} is null", values.isna()


def _interval(low: float, high: float) -> str:
    if low == float("-inf"):
        return f"< {high:g}"
    return f">= {low:g}" if high == float("inf") else f"[{low:g}, {high:g})"


def _resample(
    contract: Contract, truth: pd.Series, models: list[pd.DataFrame]
) -> list[dict[str, Array]]:
    """Each model's metrics on the same bootstrap resamples of the rows."""
    import numpy as np

    generator = np.random.default_rng(0)
    rows = len(truth)
    at_once = max(1, min(RESAMPLES, WEIGHTS_AT_ONCE // rows))
    parts: list[list[dict[str, Array]]] = [[] for _ in models]
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        weights = generator.multinomial(rows, np.full(rows, 1 / rows), size=count).astype("float64")
        for part, predictions in zip(parts, models):
            part.append(_weighted(contract, truth, predictions, weights))
    return [{name: np.concatenate([p[name] for p in part]) for name in part[0]} for part in parts]


def _quantile(values: Array, share: float) -> float:
    """A quantile of the resamples in which the metric is defined; NaN if it is in none."""
    import numpy as np

    defined = values[np.isfinite(values)]
    return float(np.quantile(defined, share)) if len(defined) else float("nan")


def _weighted(
    contract: Contract, truth: pd.Series, predictions: pd.DataFrame, weights: Array
) -> dict[str, Array]:
    """Each metric for each of b weightings of the n rows; `weights` is b by n."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        if contract.problem_type == "regression":
            answers = predictions["prediction"].to_numpy("float64")
            return _regression(truth.to_numpy("float64"), answers, weights)
        codes = {name: code for code, name in enumerate(contract.classes)}
        columns = [f"probability_{name}" for name in contract.classes]
        # A class that the model never saw has no column.
        probabilities = predictions.reindex(columns=columns, fill_value=0.0).to_numpy("float64")
        return _classification(
            np.array([codes[str(value)] for value in truth]),
            np.array([codes[str(value)] for value in predictions["prediction"]]),
            probabilities,
            weights,
        )


def _regression(truth: Array, answers: Array, weights: Array) -> dict[str, Array]:
    errors, total = truth - answers, weights.sum(axis=1)
    mse = weights @ errors**2 / total
    centre = truth - truth.mean()  # keeps the variance's difference of squares exact
    variance = weights @ centre**2 / total - (weights @ centre / total) ** 2
    return {
        "mae": weights @ abs(errors) / total,
        "mse": mse,
        "rmse": mse**0.5,
        "r2": 1 - mse / variance,
    }


def _classification(
    truth: Integers, answers: Integers, probabilities: Array, weights: Array
) -> dict[str, Array]:
    import numpy as np

    classes = np.arange(probabilities.shape[1])
    is_true, is_answer = truth[:, None] == classes, answers[:, None] == classes
    hits, truths, claims = weights @ (is_true & is_answer), weights @ is_true, weights @ is_answer
    total = weights.sum(axis=1)
    # As in scikit-learn: a class that is neither true nor predicted does not count, and one that
    # is never predicted has precision 0.
    present = (truths + claims) > 0

    def macro(part: Array, whole: Array) -> Array:
        ratios = np.where(whole > 0, part / whole, 0.0)
        mean: Array = (ratios * present).sum(axis=1) / present.sum(axis=1)
        return mean

    tiny = np.finfo("float64").eps
    of_truth = np.clip(probabilities[np.arange(len(truth)), truth], tiny, 1 - tiny)
    ranked = classes[1:] if len(classes) == 2 else classes
    areas = [_roc_auc(is_true[:, c], probabilities[:, c], weights) for c in ranked]
    return {
        "accuracy": hits.sum(axis=1) / total,
        "precision": macro(hits, claims),
        "recall": macro(hits, truths),
        "f1": macro(2 * hits, truths + claims),
        "roc_auc": np.mean(areas, axis=0),
        "log_loss": weights @ -np.log(of_truth) / total,
    }


def _roc_auc(is_class: Booleans, scores: Array, weights: Array) -> Array:
    """The share of pairs of a row of the class and another one that the scores order rightly.

    Ties count half. Source: Mann and Whitney, 1947; the same as the area under the ROC curve.
    """
    import numpy as np

    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    of_class = np.add.reduceat(weights[:, order] * is_class[order], starts, axis=1)
    of_others = np.add.reduceat(weights[:, order] * ~is_class[order], starts, axis=1)
    below = np.cumsum(of_others, axis=1) - of_others
    right = (of_class * (below + of_others / 2)).sum(axis=1)
    area: Array = right / (of_class.sum(axis=1) * of_others.sum(axis=1))
    return area
