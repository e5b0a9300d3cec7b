"""The hyperparameter search of a sweep step: what its YAML may say, and the trials that it makes.

Source: the CLI (v2) sweep job YAML reference of Azure Machine Learning.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

from pydantic import Field, model_validator

from mlops.documents import Document, Finding, Settings, did_you_mean, inspect

# So often a draw that was there before is drawn again: a small space has few different trials.
DRAWS_PER_TRIAL = 50


class Choice(Settings):
    """One of some values."""

    type: Literal["choice"]
    values: tuple[Any, ...] = Field(min_length=1)

    def draw(self, generator: random.Random) -> Any:
        """One of the values."""
        return generator.choice(self.values)


class Randint(Settings):
    """A whole number from 0 to `upper`, without `upper`."""

    type: Literal["randint"]
    upper: int = Field(ge=1)

    def draw(self, generator: random.Random) -> int:
        """A whole number."""
        return generator.randrange(self.upper)

    @property
    def values(self) -> tuple[int, ...]:
        """All that can be drawn."""
        return tuple(range(self.upper))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number."""
        return 0, self.upper - 1


class _Continuous(Settings):
    """A number: with `log` in its type e to the power of what is drawn, with `q` a multiple of it."""

    type: str
    q: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _q_belongs_to_its_type(self) -> _Continuous:
        if self.type.startswith("q") != (self.q is not None):
            problem = "needs `q`" if self.q is None else f"has no `q`; write `q{self.type}`"
            raise ValueError(f"`{self.type}` {problem}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers can be drawn."""
        return self.q is not None and self.q.is_integer()

    def _shape(self, drawn: float) -> float:
        if "log" in self.type:
            drawn = math.exp(drawn) if drawn < 700 else math.inf
        if self.q is None or math.isinf(drawn):
            return drawn
        number = round(drawn / self.q) * self.q
        return int(number) if self.is_whole else float(f"{number:.12g}")


class Uniform(_Continuous):
    """A number between two, inclusive: or e to the power of it, which spreads it over magnitudes."""

    type: Literal["uniform", "loguniform", "quniform", "qloguniform"]
    min_value: float
    max_value: float

    @model_validator(mode="after")
    def _least_is_not_more_than_greatest(self) -> Uniform:
        if self.min_value > self.max_value:
            raise ValueError("`min_value` is greater than `max_value`")
        return self

    def draw(self, generator: random.Random) -> float:
        """A number; six digits are enough to tell it from another, and can be read."""
        drawn = self._shape(generator.uniform(self.min_value, self.max_value))
        if self.q is not None:
            return drawn
        low, high = self.bounds
        return min(max(float(f"{drawn:.6g}"), low), high)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number."""
        return self._shape(self.min_value), self._shape(self.max_value)


class Normal(_Continuous):
    """A number of a normal distribution, or e to the power of it."""

    type: Literal["normal", "lognormal", "qnormal", "qlognormal"]
    mu: float
    sigma: float = Field(gt=0)

    def draw(self, generator: random.Random) -> float:
        """A number."""
        drawn = self._shape(generator.gauss(self.mu, self.sigma))
        return drawn if self.q is not None else float(f"{drawn:.6g}")

    @property
    def bounds(self) -> None:
        """There is no least and no greatest number."""
        return None


Distribution = Union[Choice, Randint, Uniform, Normal]
DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "choice": Choice,
    "randint": Randint,
    **dict.fromkeys(("uniform", "loguniform", "quniform", "qloguniform"), Uniform),
    **dict.fromkeys(("normal", "lognormal", "qnormal", "qlognormal"), Normal),
}


class Sampling(Settings):
    """How values are chosen. Without a `seed` it is 0: the same file gives the same trials."""

    type: Literal["random", "grid", "bayesian"]
    seed: int = 0
    rule: Literal["random", "sobol"] = "random"
    logbase: Union[float, str, None] = None


class Objective(Settings):
    """What makes a trial the best one."""

    goal: Literal["maximize", "minimize"]
    primary_metric: str = Field(min_length=1)

    def best(self, values: list[float]) -> float:
        """The best of some values of the metric."""
        return max(values) if self.goal == "maximize" else min(values)


class Limits(Settings):
    """How many trials, how many at once, and how many seconds all and each of them may take."""

    max_total_trials: int = Field(ge=1)
    max_concurrent_trials: int | None = Field(default=None, ge=1)
    timeout: int | None = Field(default=None, ge=1)
    trial_timeout: int | None = Field(default=None, ge=1)


class EarlyTermination(Settings):
    """When a trial that falls behind is ended."""

    type: Literal["bandit", "median_stopping", "truncation_selection"]
    evaluation_interval: int | None = Field(default=None, ge=0)
    delay_evaluation: int | None = Field(default=None, ge=0)
    slack_factor: float | None = None
    slack_amount: float | None = None
    truncation_percentage: int | None = Field(default=None, ge=1, le=99)

    @model_validator(mode="after")
    def _says_what_its_type_needs(self) -> EarlyTermination:
        slacks = [value for value in (self.slack_factor, self.slack_amount) if value is not None]
        if len(slacks) != (self.type == "bandit"):
            raise ValueError("`bandit`, and no other, needs `slack_factor` or `slack_amount`")
        if (self.truncation_percentage is None) == (self.type == "truncation_selection"):
            raise ValueError("`truncation_selection`, and no other, needs `truncation_percentage`")
        return self


@dataclass(frozen=True)
class Sweep:
    """A hyperparameter search."""

    space: dict[str, Distribution]
    sampling: Sampling
    objective: Objective
    limits: Limits
    early_termination: EarlyTermination | None = None

    def trials(self) -> list[dict[str, Any]]:
        """The parameters of each trial, no two the same.

        The same search gives the same trials, and one with more trials begins with those of one
        with fewer: what was run already is not run again.
        """
        return list(itertools.islice(self._candidates(), self.limits.max_total_trials))

    def _candidates(self) -> Iterator[dict[str, Any]]:
        if self.sampling.type == "grid":
            listed = [part.values for part in self.space.values() if hasattr(part, "values")]
            yield from (dict(zip(self.space, values)) for values in itertools.product(*listed))
            return
        seen: set[str] = set()
        for index in range(self.limits.max_total_trials * DRAWS_PER_TRIAL):
            drawn = {
                # A generator for each value: a new parameter leaves the others as they were.
                name: part.draw(random.Random(f"{self.sampling.seed}/{index}/{name}"))
                for name, part in self.space.items()
            }
            if str(drawn) not in seen:
                seen.add(str(drawn))
                yield drawn


def read_sweep(
    document: Document, name: str, job: dict[str, Any]
) -> tuple[Sweep | None, list[Finding]]:
    """The search of the step `name`, or everything in it that is wrong."""
    at = ("jobs", name)
    findings: list[Finding] = []
    for key in ("sampling_algorithm", "search_space", "objective", "limits"):
        if key not in job:
            findings.append(document.finding(f"the sweep step `{name}` needs `{key}`", *at))

    def read(key: str, model: Any) -> Any:
        if key not in job:
            return None
        data = job[key]
        if key == "sampling_algorithm" and isinstance(data, str):
            data = {"type": data}
        made, found = inspect(document, data, model, *at, key)
        findings.extend(found)
        return made

    space: dict[str, Distribution] = {}
    parts = job.get("search_space", {})
    if not isinstance(parts, dict) or ("search_space" in job and not parts):
        problem = "`search_space` must name at least one input of the trial"
        findings.append(document.finding(problem, *at, "search_space"))
        parts = {}
    for parameter, data in parts.items():
        keys = (*at, "search_space", str(parameter))
        kind = data.get("type") if isinstance(data, dict) else None
        if kind not in DISTRIBUTIONS:
            hint = did_you_mean(str(kind), DISTRIBUTIONS)
            problem = f"`{parameter}`: `{kind}` is no type of distribution{hint}"
            findings.append(document.finding(problem, *keys, "type"))
            continue
        made, found = inspect(document, data, DISTRIBUTIONS[kind], *keys)
        findings += found
        if made is not None:
            space[str(parameter)] = made
    sampling, objective = read("sampling_algorithm", Sampling), read("objective", Objective)
    limits, ended = read("limits", Limits), read("early_termination", EarlyTermination)
    if findings:
        return None, findings
    return Sweep(space, sampling, objective, limits, ended), []
