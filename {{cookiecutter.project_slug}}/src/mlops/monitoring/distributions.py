"""How the values of a column are distributed: summaries of any number of values, in bounded memory.

Summaries are filled piece by piece and can be put together, so that a table is read once, in
batches, whatever its size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

Side = Literal["left", "right"]

POINTS = 2048
MOST_CATEGORIES = 10_000
OTHER = "(other values)"


class Numbers:
    """Numbers, as points with weights in ascending order.

    Up to twice `points` different values are kept as they are; of more, neighbours become one
    point, their mean, which stands for at most pi/`points` of the values; at both ends for far fewer.
    Half of them count as below it and half as above: that keeps the error of the cumulative
    distribution far below this. Count, mean, standard deviation, least and greatest value are exact.
    Source: the merging digest of Dunning and Ertl, "Computing extremely accurate quantiles using
    t-digests", 2019, with its scale function k1.
    """

    def __init__(self, points: int = POINTS) -> None:
        import numpy as np

        self._most = points
        self.values: Array = np.empty(0)
        self.weights: Array = np.empty(0)
        self._means: Flags = np.empty(0, bool)  # which points are means of several values
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # the sum of the squared deviations from the mean
        self.minimum, self.maximum = math.inf, -math.inf

    def add(self, values: Array) -> None:
        """Add n finite values."""
        import numpy as np

        if not len(values):
            return
        piece = Numbers(self._most)
        piece.values, counts = np.unique(values, return_counts=True)
        piece.weights, piece._means = counts.astype("float64"), np.zeros(len(counts), bool)
        piece.count, piece.mean = len(values), float(values.mean())
        piece._squares = float(((values - piece.mean) ** 2).sum())
        piece.minimum, piece.maximum = float(piece.values[0]), float(piece.values[-1])
        self.merge(piece)

    def merge(self, other: Numbers) -> None:
        """Add what another summary has seen."""
        import numpy as np

        if not other.count:
            return
        total = self.count + other.count
        apart = other.mean - self.mean
        # Source: Chan, Golub and LeVeque, "Updating formulae", 1979.
        self._squares += other._squares + apart**2 * self.count * other.count / total
        self.mean += apart * other.count / total
        self.count = total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        both = np.concatenate([self.values, other.values])
        order = both.argsort(kind="stable")  # two sorted parts: it merges them
        both = both[order]
        starts = np.flatnonzero(np.append(True, both[1:] != both[:-1]))
        self.values = both[starts]
        weights, means = (
            np.concatenate(parts)[order]
            for parts in ((self.weights, other.weights), (self._means, other._means))
        )
        self.weights = np.add.reduceat(weights, starts)
        self._means = np.logical_or.reduceat(means, starts)
        self._group()

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample (n - 1), in the unit of the values."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0

    def counts(self, edges: Array) -> Array:
        """How many values lie between edges, the last interval closed; k + 1 edges give k counts."""
        import numpy as np

        below = self._sums(edges, "left")
        below[-1] = self._sums(edges[-1:], "right")[0]
        counts: Array = np.diff(below)
        return counts

    def below(self, points: Array, side: Side = "right") -> Array:
        """The share of values at or below each point: the cumulative distribution.

        With `side="left"`, of those below it.
        """
        shares: Array = self._sums(points, side) / self.count
        return shares

    def apart(self, other: Numbers) -> float:
        """The greatest difference of the cumulative distributions of two samples."""
        import numpy as np

        points = np.concatenate([self.values, other.values])
        sides: tuple[Side, Side] = ("left", "right")
        return max(
            float(np.abs(self.below(points, side) - other.below(points, side)).max())
            for side in sides
        )

    def outside(self, low: float, high: float) -> int:
        """How many values are less than `low` or greater than `high`."""
        import numpy as np

        below = self._sums(np.array([low]), "left")[0]
        above = self.count - self._sums(np.array([high]), "right")[0]
        return round(float(below + above))

    def _sums(self, points: Array, side: Side) -> Array:
        """How many values are less than each point (left), or at most as great (right)."""
        import numpy as np

        sums = np.cumsum(self.weights)
        # Up to a point, and with it: the same of a mean, as half of its values are on either side.
        before = sums - np.where(self._means, self.weights / 2, self.weights)
        after = np.where(self._means, before, sums)
        values = np.concatenate([[self.minimum], self.values, [self.maximum]])
        before, after = np.append(before, self.count), np.append(0.0, after)
        place = np.searchsorted(self.values, points, side)
        # Between neighbours the count rises evenly; between two single values, not at all.
        width = values[place + 1] - values[place]
        part = np.divide(points - values[place], width, out=np.zeros(len(points)), where=width > 0)
        found: Array = after[place] + np.clip(part, 0, 1) * (before[place] - after[place])
        found[points < self.minimum] = 0.0
        found[points > self.maximum] = self.count
        return found

    def _group(self) -> None:
        """Make neighbours one point, where there are too many, and from then on."""
        import numpy as np

        if len(self.values) <= 2 * self._most and not self._means.any():
            return
        middles = (np.cumsum(self.weights) - self.weights / 2) / self.count
        groups = ((np.arcsin(2 * middles - 1) / np.pi + 0.5) * self._most).astype("int64")
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        weights = np.add.reduceat(self.weights, starts)
        self.values = np.add.reduceat(self.values * self.weights, starts) / weights
        self.weights = weights
        several = np.diff(starts, append=len(groups)) > 1
        self._means = several | self._means[starts]


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

    @property
    def is_cut(self) -> bool:
        """Whether there were so many different values that the rare ones are not told apart."""
        return OTHER in self.counts

    def unknown_to(self, other: Categories) -> dict[str, int]:
        """The values that another summary has not seen, and how often each was there."""
        if other.is_cut:  # it does not know any more which it has seen
            return {}
        return {name: n for name, n in self.counts.items() if name not in other.counts}

    def _drop(self) -> None:
        kept = sorted(self.counts, key=lambda name: -self.counts[name])[:MOST_CATEGORIES]
        rest = self.count - sum(self.counts[name] for name in kept if name != OTHER)
        self.counts = {name: self.counts[name] for name in kept if name != OTHER}
        self.counts[OTHER] = rest
