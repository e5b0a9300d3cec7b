"""Whether a difference can be chance: small windows and many features must not raise alarms.

A distance between two samples is never 0, and grows as the samples shrink; among a hundred features
one is always far off. So a feature is breached only where its metric is beyond the threshold and a
test of the two samples says that chance would not do that, corrected for the number of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.monitoring.distances import kolmogorov_smirnov
from mlops.monitoring.distributions import Categories, Numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

LEAST_EXPECTED = 5  # in each cell of a chi-squared test; Cochran, 1954


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values, corrected so that the chance of one false alarm among all is that of one.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    greatest = 0.0
    for rank, place in enumerate(order):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = greatest
    return corrected


def of_numbers(reference: Numbers, production: Numbers) -> float:
    """The chance that two samples of the same numbers differ as much (Kolmogorov-Smirnov)."""
    return kolmogorov_smirnov(reference, production)


def of_categories(reference: Categories, production: Categories) -> float:
    """The chance that two samples of the same categories differ as much.

    Pearson's chi-squared test of homogeneity; rare values are taken together, so that five are
    expected in each cell.
    """
    import numpy as np
    from scipy.stats import chi2_contingency

    _, before, now = reference.aligned(production)
    expected = (before + now) * min(before.sum(), now.sum()) / (before.sum() + now.sum())
    rare = expected < LEAST_EXPECTED
    table = np.array([before[~rare], now[~rare]])
    if rare.any():
        table = np.column_stack([table, [before[rare].sum(), now[rare].sum()]])
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)


def of_rate(found: int, rows: int, expected: float) -> float:
    """The chance to find so many among so many rows, where a share of `expected` is normal."""
    from scipy.stats import binom

    if not found:
        return 1.0
    return float(binom.sf(found - 1, rows, min(expected, 1.0)))
