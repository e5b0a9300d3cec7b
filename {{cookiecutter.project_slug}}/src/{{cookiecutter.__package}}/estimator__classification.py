"""The estimator: gradient boosting on histograms, a good baseline for tables.

It takes missing values and categories as they are, and needs no scaling.
"""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier


def make_estimator(
    categories: list[int], learning_rate: float, max_iterations: int, seed: int
) -> HistGradientBoostingClassifier:
    """A classifier of two classes or more, not yet fitted.

    Args:
        categories: which of the features are categories.
        learning_rate: how much each tree corrects, between 0 and 1.
        max_iterations: the number of boosting iterations.
        seed: makes the fit repeatable.
    """
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=max_iterations,
        categorical_features=categories or None,
        random_state=seed,
    )
