"""The metrics of drift, as Azure ML's model monitor defines them.

Source: Azure/azureml-assets, `assets/model_monitoring`: equal-width bins over the range of both
samples, as many as Sturges' rule gives for the smaller one; Jensen-Shannon with logarithms of base
2; one is added to each count of a population stability index; Wasserstein in standard deviations of
the reference, at least 0.001; tests give their p-value.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from mlops.monitoring.distributions import Categories, Numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

LEAST_DEVIATION = 0.001
LIMIT_FROM = 10_000  # rows
EXACT_UP_TO = 1000  # rows of a sample: SciPy's exact test takes time that grows with their product


def shared_edges(reference: Numbers, production: Numbers) -> Array:
    """The edges of the bins of two samples, which have a value each."""
    import numpy as np

    low = min(reference.minimum, production.minimum)
    high = max(reference.maximum, production.maximum)
    if low == high:
        return np.array([low, low + max(abs(low) * 0.01, 1e-9)])
    bins = math.ceil(math.log2(min(reference.count, production.count)) + 1)
    edges: Array = np.linspace(low, high, max(bins, 1) + 1).astype("float64")
    return edges


def numerical_distance(metric: str, reference: Numbers, production: Numbers) -> float:
    """A metric of two samples of numbers, with a value each.

    Raises:
        KeyError: there is no such metric.
    """
    if metric == "normalized_wasserstein_distance":
        from scipy.stats import wasserstein_distance

        distance = wasserstein_distance(
            reference.values, production.values, reference.weights, production.weights
        )
        return float(distance) / max(reference.deviation, LEAST_DEVIATION)
    if metric == "two_sample_kolmogorov_smirnov_test":
        return kolmogorov_smirnov(reference, production)
    edges = shared_edges(reference, production)
    return _of_counts(metric, reference.counts(edges), production.counts(edges))


def categorical_distance(metric: str, reference: Categories, production: Categories) -> float:
    """A metric of two samples of categories, with a value each.

    Raises:
        KeyError: there is no such metric.
    """
    _, before, now = reference.aligned(production)
    return _of_counts(metric, before, now)


def kolmogorov_smirnov(reference: Numbers, production: Numbers) -> float:
    """The p-value of the two-sample Kolmogorov-Smirnov test, two-sided.

    Exact for small samples; for larger ones by the distribution that `scipy.stats.ks_2samp` takes, and
    for very large ones by its limit, which is much faster, and within a five-hundredth of it.
    Source: Vrbik, "Small-sample corrections to Kolmogorov-Smirnov test statistic", 2018.
    """
    import numpy as np
    from scipy import stats

    if max(reference.count, production.count) <= EXACT_UP_TO:
        samples = [np.repeat(s.values, s.weights.astype(int)) for s in (reference, production)]
        with warnings.catch_warnings():  # it says when it cannot be exact, and goes on
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(stats.ks_2samp(*samples).pvalue)
    n, m = reference.count, production.count
    apart, rows = reference.apart(production), round(n * m / (n + m))
    if rows <= LIMIT_FROM:
        return float(stats.kstwo.sf(apart, rows))
    root = math.sqrt(rows)
    return float(stats.kstwobign.sf(apart * root + 1 / (6 * root)))


def _of_counts(metric: str, reference: Array, production: Array) -> float:
    """A metric of two rows of counts, of the same k bins or values."""
    import numpy as np

    if metric == "jensen_shannon_distance":
        from scipy.spatial.distance import jensenshannon

        # Of two equal distributions, rounding can leave the root of a number just below 0.
        return float(np.nan_to_num(jensenshannon(reference, production, base=2)))
    if metric == "population_stability_index":
        before = (reference + 1) / reference.sum()
        now = (production + 1) / production.sum()
        return float(((now - before) * np.log(now / before)).sum())
    if metric == "pearsons_chi_squared_test":
        from scipy.stats import chi2

        expected = reference / reference.sum() * production.sum()
        if (production[expected == 0] > 0).any():
            return 0.0  # what the reference never had is infinitely far from what was expected
        there = expected > 0
        statistic = ((production - expected)[there] ** 2 / expected[there]).sum()
        return float(chi2.sf(statistic, there.sum() - 1)) if there.sum() > 1 else 1.0
    raise KeyError(metric)
