"""Feature attribution drift: whether the model leans on the same features as it did.

How much the model leans on a feature is how far its answers move when the feature's values are
shuffled among the rows; no label is needed. Azure ML explains a model of its own in place of the
deployed one, so its values differ, while the metric is the same: the normalised discounted
cumulative gain of the order of the features.
Source: Fisher, Rudin and Dominici, "All models are wrong, but many are useful", JMLR 20, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlops.contract import Contract
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.definition import Signal, is_beyond
from mlops.monitoring.results import FeatureResult, MetricResult, state_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array = npt.NDArray[np.float64]

ROWS = 1000  # of the reference and of the window that the model is asked about
RESAMPLES = 2000
NDCG = "normalized_discounted_cumulative_gain"

Predict = Callable[["pd.DataFrame"], "pd.DataFrame"]


def attributions(predict: Predict, table: pd.DataFrame, contract: Contract) -> Array:
    """How far each answer moves when each feature is shuffled: n rows by p features, 0 or more.

    Of a regression, in the target's unit; of a classification, as the sum over the classes of the
    absolute change of the probability.

    Args:
        predict: from n rows of features to n answers, as the project's `score.predict`.
        table: n rows with the contract's p features.
        contract: gives the features and the classes.
    """
    import numpy as np

    shuffle = np.random.default_rng(0)

    def answers(rows: pd.DataFrame) -> Array:
        given = predict(rows)
        columns = [f"probability_{name}" for name in contract.classes] or ["prediction"]
        values: Array = given.reindex(columns=columns, fill_value=0.0).to_numpy("float64")
        return values

    before = answers(table)
    moved = np.empty((len(table), len(contract.features)))
    for place, name in enumerate(contract.features):
        other = table[name].iloc[shuffle.permutation(len(table))].set_axis(table.index)
        moved[:, place] = np.abs(answers(table.assign(**{name: other})) - before).sum(axis=1)
    return moved


def attribution_drift(
    contract: Contract,
    reference: Array,
    production: Array,
    signal: Signal,
    settings: MonitoringSettings,
) -> tuple[FeatureResult, ...]:
    """The metric, as a result without a name, and the importance of each feature here and there.

    Args:
        contract: names the features.
        reference: the attributions of the reference's rows, n by p.
        production: those of the window's rows, m by p.
        signal: gives the threshold.
        settings: the chance of a false alarm that is allowed.
    """
    import numpy as np

    before, now = reference.mean(axis=0), production.mean(axis=0)
    gain = gain_of(before, now)
    draw = np.random.default_rng(0)

    # Without a change, it is chance which rows were those of the reference: a permutation test.
    both = np.concatenate([reference, production])
    total, by_chance = both.sum(axis=0), np.empty(RESAMPLES)
    for place in range(RESAMPLES):
        part = both[draw.permutation(len(both))[: len(reference)]].sum(axis=0)
        by_chance[place] = gain_of(part / len(reference), (total - part) / len(production))
    chance = float((1 + (by_chance <= gain).sum()) / (1 + RESAMPLES))
    metrics = tuple(
        MetricResult(
            name=name, value=gain, threshold=threshold, comparison="at least", p_value=chance,
            breached=is_beyond(name, gain, threshold) and chance < settings.significance,
        )
        for name, threshold in signal.thresholds("").items()
    )  # fmt: skip
    breached = any(metric.breached for metric in metrics)
    state = state_of(breached=breached, known=bool(metrics))
    whole = FeatureResult(name="", state=state, metrics=metrics)
    shares = [values / values.sum() if values.sum() else values for values in (before, now)]
    parts = [
        FeatureResult(
            name=name, unit=column.unit, state="fine",
            reference_importance=float(shares[0][place]), importance=float(shares[1][place]),
        )
        for place, (name, column) in enumerate(contract.features.items())
    ]  # fmt: skip
    return (whole, *sorted(parts, key=lambda part: -(part.reference_importance or 0.0)))


def gain_of(relevance: Array, scores: Array) -> float:
    """The normalised discounted cumulative gain of the order of `scores`, between 0 and 1.

    The same as `sklearn.metrics.ndcg_score` for two features or more; 1 where nothing is relevant.
    Source: Järvelin and Kekäläinen, ACM TOIS 20, 2002.
    """
    import numpy as np

    discount = 1 / np.log2(np.arange(2, len(relevance) + 2))
    best = np.sort(relevance)[::-1] @ discount
    if not best:
        return 1.0
    # Features of the same score share their places, as in scikit-learn.
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean = np.bincount(group, relevance) / size
    ends = np.cumsum(size)
    sums = np.concatenate([[0.0], np.cumsum(discount)])
    return float((mean * (sums[ends] - sums[ends - size])).sum() / best)
