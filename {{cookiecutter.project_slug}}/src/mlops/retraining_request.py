"""A request for a training, as one stage hands it to the next: one line of JSON.

The stage that reads production may not train, and the one that trains may not read production. So
the request says all that the second needs to know. It comes from outside, and is taken for nothing
but what it must be: names, numbers and digests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops.digests import digest_of
from mlops.errors import UsageError
from mlops.project import Environment, Project

MOST_CHARACTERS = 20_000

TriggerKind = Literal["signal", "performance", "rows", "age", "person"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,100}$")]


class _Handed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Ask(_Handed):
    """What asks for a training.

    `name` is that of the signal, or of the metric. `value` and `limit` are in the unit of the rule:
    the metric's, days, or rows. New rows are counted where the data is: until then, they have no
    value. `state` changes when there is news of the same.
    """

    trigger: TriggerKind
    name: Name = ""
    value: float | None = None
    limit: float | None = None
    state: Annotated[str, Field(pattern=r"^[0-9A-Za-z:.+-]{0,40}$")] = ""


class Request(_Handed):
    """A training that is asked for, for the version `origin` (such as `dev/7`) in an environment.

    `digest` is that version's, `time` when it was asked. Both the version and the origin are empty
    where nothing is in use.
    """

    environment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]
    origin: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{1,64}/[0-9]{1,9})?$")] = ""
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    asks: Annotated[tuple[Ask, ...], Field(min_length=1, max_length=50)]
    time: Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\+00:00$")]

    @property
    def id(self) -> str:
        """The same as long as the same is asked for, for the same version."""
        asks = sorted([ask.trigger, ask.name, ask.state] for ask in self.asks)
        return digest_of([self.environment, self.model, self.digest or self.origin, asks])[:16]

    @property
    def is_by_hand(self) -> bool:
        """Whether a person asks, whatever the policy says."""
        return any(ask.trigger == "person" for ask in self.asks)


def read_request(text: str, project: Project) -> tuple[Request, Environment]:
    """The request that `mlops retrain --decide-only` published, and its environment.

    Raises:
        UsageError: it is none, or one for another project.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"--request has {len(text)} characters; the most are {MOST_CHARACTERS}")
    try:
        request = Request.model_validate_json(text)
    except ValidationError as error:
        # Not what stands there: it may be anything.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(
            str(key) for key in first["loc"] if isinstance(key, int) or key.isidentifier()
        )
        what = f"`{where}`: {first['msg']}" if where else first["msg"]
        raise UsageError(
            "--request is not the line of JSON that `mlops retrain --decide-only` published: "
            + " ".join(what.split())[:200]
        ) from None
    environment = project.environment(request.environment)
    if request.model != environment.settings.model:
        raise UsageError(
            f"--request is for the model {request.model}; this project's is "
            f"{environment.settings.model}"
        )
    return request, environment
