"""What the settings files may say: `environments/<name>.yml` and `[tool.mlops]`.

A file of an older release must load: a new setting has a default, or may be left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlops.documents import Settings

WorkspaceName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$")]


class ComputeSettings(Settings):
    """The cluster that the steps of a pipeline run on; it has no machines while there is no work."""

    # Azure's pages say 16 characters or 24; and a name may not end with a dash and digits.
    name: str = Field(
        default="cpu-cluster",
        min_length=3,
        pattern=r"^[a-zA-Z](-?[a-zA-Z][a-zA-Z0-9]*)*$",
        max_length=16,
    )
    size: str = "Standard_DS3_v2"
    max_instances: int = Field(default=2, ge=1)


class AzureSettings(Settings):
    """Where the environment lies in Azure. An empty subscription means a local workspace."""

    subscription_id: str = ""
    tenant_id: str = ""
    location: str = ""
    resource_group: str
    name_prefix: str = Field(default="", pattern=r"^([a-z][a-z0-9]{1,10})?$")
    workspace: WorkspaceName
    registry: WorkspaceName | None = None
    compute: ComputeSettings = ComputeSettings()


EndpointName = Annotated[
    str, Field(min_length=3, max_length=32, pattern=r"^[a-zA-Z](-?[a-zA-Z0-9])*$")
]


EndpointKind = Literal["online", "batch"]
ENDPOINT_KINDS: tuple[EndpointKind, ...] = ("online", "batch")


class EndpointNames(Settings):
    """The names of the endpoints that the environment has: `online`, `batch` or both."""

    online: EndpointName | None = None
    batch: EndpointName | None = None

    @model_validator(mode="after")
    def _names_one(self) -> EndpointNames:
        if not (self.online or self.batch):
            raise ValueError("name an endpoint under `online`, `batch` or both")
        return self


class ChampionRule(Settings):
    """How far a challenger may fall behind the champion, and how sure we must be that it doesn't.

    `margin` is in the metric's unit; `confidence` is that of the one-sided bound. `incomparable`
    says what becomes of a challenger whose data, target or split the champion does not share.
    """

    metric: str
    margin: float = Field(ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    incomparable: Literal["refuse", "accept"] = "refuse"


class SliceRule(Settings):
    """Floors that hold in every slice of at least `minimum_rows` rows."""

    floors: dict[str, float] = Field(default={})
    minimum_rows: int = Field(default=30, ge=1)


class GateSettings(Settings):
    """What a model version must reach. A floor of an error metric is the greatest error."""

    floors: dict[str, float] = Field(min_length=1)
    champion: ChampionRule
    slices: SliceRule = SliceRule()


class RolloutSettings(Settings):
    """The share of traffic, in percent, that a new deployment gets in each stage, and its test."""

    stages: tuple[int, ...] = Field(min_length=1)
    requests_per_stage: int = Field(default=20, ge=1, le=10_000)
    p95_ms: float = Field(gt=0)

    @field_validator("stages")
    @classmethod
    def _ascend_to_100(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if list(stages) != sorted(set(stages)) or stages[0] < 1 or stages[-1] != 100:
            raise ValueError("write ascending percentages that end with 100, such as [10, 50, 100]")
        return stages


class Owner(Settings):
    """Who answers for the model; a tag of each resource in Azure."""

    team: str
    contact: str


class CicdSettings(Settings):
    """The environment on the CI/CD platform whose reviewers let a version in here.

    `service_connection` is what Azure DevOps signs in to Azure with.
    """

    environment: str = Field(min_length=1)
    service_connection: str | None = None


class EnvironmentSettings(Settings):
    """`environments/<name>.yml`."""

    name: str
    description: str = ""
    model: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$")
    owner: Owner | None = None
    azure: AzureSettings
    endpoints: EndpointNames
    ci_cd: CicdSettings | None = None
    tests: tuple[Literal["gate", "rollout"], ...] = Field(
        default=("gate", "rollout"), validate_default=True
    )
    gate: GateSettings
    rollout: RolloutSettings | None = None

    @field_validator("tests")
    @classmethod
    def _rollout_needs_an_online_endpoint(
        cls, tests: tuple[str, ...], others: ValidationInfo
    ) -> tuple[str, ...]:
        endpoints: EndpointNames | None = others.data.get("endpoints")
        if endpoints and not endpoints.online and "rollout" in tests:
            raise ValueError(
                "there is no rollout without an online endpoint; "
                "name one under `endpoints.online`, or write `tests: [gate]`"
            )
        return tests

    @model_validator(mode="after")
    def _gate_is_tested(self) -> EnvironmentSettings:
        if "gate" not in self.tests:
            raise ValueError("`tests` must name `gate`: no version comes in without it")
        return self

    @model_validator(mode="after")
    def _online_endpoint_has_a_rollout(self) -> EnvironmentSettings:
        if self.endpoints.online and not self.rollout:
            raise ValueError(
                "`rollout` is missing: say how the online endpoint's traffic moves, "
                "such as `rollout: {stages: [10, 50, 100], p95_ms: 500}`"
            )
        return self


class ProjectSettings(Settings):
    """`[tool.mlops]` in `pyproject.toml`."""

    package: str
    environments: tuple[str, ...] = Field(min_length=1)
