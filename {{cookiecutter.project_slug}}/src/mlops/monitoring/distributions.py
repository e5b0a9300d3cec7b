"""How the values of a column are distributed: summaries of any number of values, in bounded memory.

Summaries are filled piece by piece and can be put together, so that a table is read once, in
batches, whatever its size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

POINTS = 2048
MOST_CATEGORIES = 10_000
OTHER = "(other values)"


class Numbers:
    """Numbers, as points with weights in ascending order.

    Up to twice `points` different values are kept as they are; of more, neighbours become one
    point, their mean. A point stands for at most pi/2/`points` of the values, which bounds the error
    of their cumulative distribution; at both ends for far fewer. Count, mean, standard deviation,
    least and greatest value are exact.
    Source: the merging digest of Dunning and Ertl, "Computing extremely accurate quantiles using
    t-digests", 2019, with its scale function k1.
    """

    def __init__(self, points: int = POINTS) -> None:
        import numpy as np

        self._most = points
        self.values: Array = np.empty(0)
        self.weights: Array = np.empty(0)
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # the sum of the squared deviations from the mean
        self.minimum, self.maximum = math.inf, -math.inf

    def add(self, values: Array) -> None:
        """Add n finite values."""
        import numpy as np

        if not len(values):
            return
        distinct, counts = np.unique(values, return_counts=True)
        mean = float(values.mean())
        squares = float(((values - mean) ** 2).sum())
        self._fold(distinct, counts.astype("float64"), len(values), mean, squares)

    def merge(self, other: Numbers) -> None:
        """Add what another summary has seen."""
        if other.count:
            self._fold(other.values, other.weights, other.count, other.mean, other._squares)
            self.minimum = min(self.minimum, other.minimum)
            self.maximum = max(self.maximum, other.maximum)

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample (n - 1), in the unit of the values."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0

    def counts(self, edges: Array) -> Array:
        """How many values lie between edges, the last interval closed; k + 1 edges give k counts."""
        import numpy as np

        below = np.searchsorted(self.values, edges, side="left")
        below[-1] = np.searchsorted(self.values, edges[-1], side="right")
        sums = np.concatenate([[0.0], np.cumsum(self.weights)])
        counts: Array = np.diff(sums[below])
        return counts

    def below(self, points: Array) -> Array:
        """The share of values at or below each point: the cumulative distribution."""
        import numpy as np

        sums = np.concatenate([[0.0], np.cumsum(self.weights)])
        shares: Array = sums[np.searchsorted(self.values, points, side="right")] / self.count
        return shares

    def outside(self, low: float, high: float) -> int:
        """How many values are less than `low` or greater than `high`."""
        import numpy as np

        first = np.searchsorted(self.values, low, side="left")
        last = np.searchsorted(self.values, high, side="right")
        return round(float(self.weights[:first].sum() + self.weights[last:].sum()))

    def _fold(self, values: Array, weights: Array, count: int, mean: float, squares: float) -> None:
        import numpy as np

        total = self.count + count
        apart = mean - self.mean
        # Source: Chan, Golub and LeVeque, "Updating formulae", 1979.
        self._squares += squares + apart**2 * self.count * count / total
        self.mean += apart * count / total
        self.count = total
        self.minimum = min(self.minimum, float(values[0]))
        self.maximum = max(self.maximum, float(values[-1]))
        both = np.concatenate([self.values, values])
        self.values, places = np.unique(both, return_inverse=True)
        together = np.bincount(places.ravel(), np.concatenate([self.weights, weights]))
        self.weights = together.astype("float64")
        if len(self.values) > 2 * self._most:
            self._group()

    def _group(self) -> None:
        import numpy as np

        middles = (np.cumsum(self.weights) - self.weights / 2) / self.count
        groups = ((np.arcsin(2 * middles - 1) / np.pi + 0.5) * self._most).astype("int64")
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        weights = np.add.reduceat(self.weights, starts)
        self.values = np.add.reduceat(self.values * self.weights, starts) / weights
        self.weights = weights


class Categories:
    """Texts, and how often each was there; of very many different ones, the rare ones become one."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.count = 0

    def add(self, counts: dict[str, int]) -> None:
        """Add values by how often each was there."""
        for value, count in counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
            self.count += count
        if len(self.counts) > 2 * MOST_CATEGORIES:
            self._drop()

    def merge(self, other: Categories) -> None:
        """Add what another summary has seen."""
        self.add(other.counts)

    def aligned(self, other: Categories) -> tuple[list[str], Array, Array]:
        """The values of both, in order of name, and how often each is here and there."""
        import numpy as np

        names = sorted({*self.counts, *other.counts})

        def of(counts: dict[str, int]) -> Array:
            return np.array([counts.get(name, 0) for name in names], "float64")

        return names, of(self.counts), of(other.counts)

    def unknown_to(self, other: Categories) -> dict[str, int]:
        """The values that another summary has not seen, and how often each was there."""
        if OTHER in other.counts:  # it does not know any more which it has seen
            return {}
        return {name: n for name, n in self.counts.items() if name not in other.counts}

    def _drop(self) -> None:
        kept = sorted(self.counts, key=lambda name: -self.counts[name])[:MOST_CATEGORIES]
        rest = self.count - sum(self.counts[name] for name in kept if name != OTHER)
        self.counts = {name: self.counts[name] for name in kept if name != OTHER}
        self.counts[OTHER] = rest
