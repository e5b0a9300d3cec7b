"""The data contract: the one description of what a row is and what each column may hold.

It validates tables (`mlops.tables`) and requests (`mlops.scoring.requests`), makes the model's
signature and the sample requests, and names the slices that the gate looks at.
"""

from __future__ import annotations

import datetime
import math
import random
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from mlops.digests import digest_of
from mlops.documents import Settings, did_you_mean, read_yaml, validate

ColumnType = Literal["number", "integer", "category", "boolean", "timestamp"]
ProblemType = Literal["classification", "regression"]


class Column(Settings):
    """What one column may hold. `minimum` and `maximum` are inclusive, in the column's unit.

    With `collect: false`, its values are not recorded when a deployment is asked with them.
    """

    type: ColumnType
    description: str = ""
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str | int, ...] | None = None
    collect: bool = True

    @field_validator("values", mode="before")
    @classmethod
    def _no_booleans(cls, values: Any) -> Any:
        # YAML reads yes, no, on and off as booleans, and pydantic those as 1 and 0.
        if isinstance(values, (list, tuple)) and any(isinstance(value, bool) for value in values):
            raise ValueError('put words that YAML reads as true or false in quotes: ["yes", "no"]')
        return values

    @model_validator(mode="after")
    def _fits_type(self) -> Column:
        if self.type not in ("number", "integer") and (self.minimum, self.maximum) != (None, None):
            raise ValueError("`minimum` and `maximum` belong to a number or an integer")
        if self.values is not None and self.type not in ("category", "integer"):
            raise ValueError("`values` belong to a category or an integer")
        if self.values == ():
            raise ValueError("`values` must name at least one value, or be left out")
        if len({str(value) for value in self.values or ()}) < len(self.values or ()):
            raise ValueError("`values` names a value twice")
        if self.type == "integer" and any(isinstance(value, str) for value in self.values or ()):
            raise ValueError("the `values` of an integer must be integers")
        if self.values is not None and (self.minimum, self.maximum) != (None, None):
            raise ValueError("write `values`, or `minimum` and `maximum`, not both")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError("`minimum` is greater than `maximum`")
        return self


class Slice(Settings):
    """Rows that are evaluated on their own: per value, or per interval between `edges`."""

    column: str
    edges: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _ascending(self) -> Slice:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("`edges` must ascend")
        return self


class Contract(Settings):
    """`data/contract.yml`."""

    title: str
    description: str = ""
    problem_type: ProblemType
    target: str
    id: str | None = None
    timestamp: str | None = None
    columns: dict[str, Column] = Field(min_length=2)
    slices: tuple[Slice, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> Contract:
        problems = []
        named = {"target": self.target, "id": self.id, "timestamp": self.timestamp}
        for what, name in named.items():
            if name is not None and name not in self.columns:
                problems.append(
                    f"`{what}` names `{name}`, which is no column{did_you_mean(name, self.columns)}"
                )
        given = [name for name in named.values() if name is not None]
        if len(set(given)) < len(given):
            problems.append("`target`, `id` and `timestamp` must name different columns")
        for part in self.slices:
            column = self.columns.get(part.column)
            if column is None:
                problems.append(f"a slice names `{part.column}`, which is no column")
            elif column.type == "number" and not part.edges:
                problems.append(f"the slice of `{part.column}`, a number, needs `edges`")
            elif column.type in ("category", "boolean", "timestamp") and part.edges:
                problems.append(f"the slice of `{part.column}`, a {column.type}, has no `edges`")
        if not problems:
            problems += self._target_problems()
        if not problems and not self.features:
            problems.append("there is no column left to learn from")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _target_problems(self) -> list[str]:
        column = self.columns[self.target]
        if column.nullable:
            return [f"the target `{self.target}` must not be nullable"]
        if self.problem_type == "regression" and column.type not in ("number", "integer"):
            return [f"the target `{self.target}` of a regression must be a number or an integer"]
        if self.problem_type == "classification" and len(column.values or ()) < 2:
            return [f"the target `{self.target}` of a classification needs two `values` or more"]
        return []

    @property
    def features(self) -> dict[str, Column]:
        """The columns that a model learns from, in the order of the contract."""
        others = {self.target, self.id, self.timestamp}
        return {name: column for name, column in self.columns.items() if name not in others}

    @property
    def classes(self) -> list[str]:
        """The target's values as text, in the order of the contract; empty for a regression."""
        return [str(value) for value in self.columns[self.target].values or ()]

    @property
    def collected(self) -> dict[str, Column]:
        """The columns of a request that may be recorded, in the order of the contract."""
        return {
            name: column
            for name, column in self.columns.items()
            if column.collect and name != self.target
        }

    @property
    def labels(self) -> dict[str, Column]:
        """The columns that a table of labels must have: the id, if there is one, and the target."""
        named = (self.id, self.target)
        return {name: self.columns[name] for name in named if name is not None}

    @property
    def digest(self) -> str:
        """What identifies this contract: SHA-256 of its content, whatever its layout."""
        content = self.model_dump()
        for column in content["columns"].values():
            del column["collect"]  # What is recorded of the data does not change the data.
        # The order of the columns is that of the features, and so a part of it.
        return digest_of(content | {"columns": list(content["columns"].items())})

    def expected(self, *, target: bool) -> dict[str, Column]:
        """The columns that a table must have: the features, and with `target` the target."""
        optional = {self.id, self.timestamp} | (set() if target else {self.target})
        return {name: column for name, column in self.columns.items() if name not in optional}

    def examples(self, count: int, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of features that obey the contract, the same for the same seed."""
        generator = random.Random(seed)
        return [
            {name: _example(column, generator) for name, column in self.features.items()}
            for _ in range(count)
        ]

    def signature(self) -> Any:
        """The model's signature (`mlflow.models.ModelSignature`): features in, prediction out."""
        from mlflow.models import ModelSignature
        from mlflow.types.schema import ColSpec, Schema

        target = self.columns[self.target]
        output = "string" if self.problem_type == "classification" else _mlflow_type(target)
        return ModelSignature(
            inputs=Schema([ColSpec(_mlflow_type(c), n) for n, c in self.features.items()]),
            outputs=Schema([ColSpec(output, "prediction")]),
        )


def load_contract(path: Path) -> Contract:
    """Read a contract.

    Raises:
        InvalidFile: with a finding for everything in it that is wrong.
    """
    return validate(read_yaml(path), Contract)


def _example(column: Column, generator: random.Random) -> Any:
    if column.values is not None:
        return generator.choice(column.values)
    if column.type == "boolean":
        return generator.random() < 0.5
    if column.type == "timestamp":
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=generator.randrange(365))
        return f"{day.isoformat()}T12:00:00"
    if column.type == "category":
        return "example"
    low, high = _bounds(column)
    if column.type == "integer":
        return generator.randint(math.ceil(low), math.floor(high))
    return min(max(round(generator.uniform(low, high), 6), low), high)


def _bounds(column: Column) -> tuple[float, float]:
    low, high = column.minimum, column.maximum
    if low is None:
        low = 0.0 if high is None else high - 1.0
    return low, low + 1.0 if high is None else high


def _mlflow_type(column: Column) -> str:
    if column.type == "integer":
        # MLflow holds missing integers as doubles, as pandas does.
        return "double" if column.nullable else "long"
    return {
        "number": "double",
        "boolean": "boolean",
        "timestamp": "datetime",
        "category": "string",
    }[column.type]
