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
CELLS = 100


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

    Pearson's chi-squared test of homogeneity, with rare values taken together, so that five are
    expected in each cell. Where fewer are rare, Fisher's exact test compares them with the rest, and
    the smaller of both chances counts twice.
    """
    import numpy as np
    from scipy.stats import chi2_contingency, fisher_exact

    _, before, now = reference.aligned(production)
    expected = (before + now) * min(before.sum(), now.sum()) / (before.sum() + now.sum())
    rare = expected < LEAST_EXPECTED
    table = np.array([before[~rare], now[~rare]])
    few = np.array([before[rare].sum(), now[rare].sum()])
    chances = []
    if expected[rare].sum() >= LEAST_EXPECTED:
        table = np.column_stack([table, few])
    elif few.any() and table.shape[1]:
        both = np.column_stack([few, table.sum(axis=1)])
        chances.append(fisher_exact(both.astype("int64")).pvalue)
    if table.shape[1] > 1:
        chances.append(chi2_contingency(table, correction=False).pvalue)
    return min(1.0, len(chances) * float(min(chances))) if chances else 1.0


def of_rate(found: int, rows: int, threshold: float, before: int = 0, of: int = 0) -> float:
    """The chance to find so many among so many rows, if nothing is wrong.

    Nothing is where the true rate is at most the threshold, or at most that of the reference, which
    had `before` among `of` rows. How great that may be with which chance, a beta distribution says.
    Source: Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934.
    """
    import numpy as np
    from scipy.special import bdtrc, betaincinv

    if not found or 0 < of <= before:
        return 1.0
    if not of:
        return float(bdtrc(found - 1, rows, min(threshold, 1.0)))
    # In each cell of the distribution the greatest rate counts: the chance is too great, if at all.
    levels = np.append(0.0, np.logspace(-9, 0, CELLS))
    rates = 1.0 - betaincinv(of - before, before + 1, levels[:-1])
    chances = bdtrc(found - 1, rows, np.maximum(rates, min(threshold, 1.0)))
    return float(chances @ np.diff(levels))
