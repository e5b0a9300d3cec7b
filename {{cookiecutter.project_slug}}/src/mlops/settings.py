"""What the settings files may say: `environments/<name>.yml` and `[tool.mlops]`.

A file of an older release must load: a new setting has a default, or may be left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlops.documents import Settings
from mlops.monitor_settings import MonitoringSettings, RetrainingSettings

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
    tier: Literal["dedicated", "low_priority"] = "dedicated"
    min_instances: int = Field(default=0, ge=0)
    max_instances: int = Field(default=2, ge=1)
    idle_seconds: int = Field(default=300, ge=60)

    @model_validator(mode="after")
    def _fewest_are_not_more_than_most(self) -> ComputeSettings:
        if self.min_instances > self.max_instances:
            raise ValueError("`min_instances` is greater than `max_instances`")
        return self


class OnlineScale(Settings):
    """The machines of an online deployment."""

    instance_type: str
    instance_count: int = Field(default=1, ge=1)


class BatchScale(Settings):
    """The machines of a batch deployment, and how many mini-batches each of them scores at once."""

    instance_count: int = Field(default=1, ge=1)
    max_concurrency_per_instance: int = Field(default=2, ge=1)


class DistributedSettings(Settings):
    """Training on more than one process: the train step starts this many, on this many machines."""

    type: Literal["pytorch", "mpi", "tensorflow"]
    instance_count: int = Field(default=1, ge=1)
    process_count_per_instance: int = Field(default=1, ge=1)


class BudgetSettings(Settings):
    """What the resource group may cost in a month, in the subscription's currency.

    The owner gets mail at 80 % and 100 % of it, and when the forecast exceeds it.
    """

    monthly: float = Field(gt=0)


class AzureSettings(Settings):
    """Where the environment lies in Azure. An empty subscription means a local workspace.

    `network` is `public` (reached over the internet, by who has a role) or `managed`: the
    workspace's own network, whose machines reach nothing outside Azure but the `allowed_hosts`, and
    whose storage people reach from the `allowed_addresses`. What `online` and `batch` do not say,
    the deployment's own file says. `endpoint_identity` names the user-assigned identity of the online
    endpoint; without it, Azure makes one for the endpoint.
    """

    subscription_id: str = ""
    tenant_id: str = ""
    location: str = ""
    resource_group: str
    name_prefix: str = Field(default="", pattern=r"^([a-z][a-z0-9]{1,10})?$")
    workspace: WorkspaceName
    registry: WorkspaceName | None = None
    registry_resource_group: str | None = None
    endpoint_identity: str | None = None
    compute: ComputeSettings = ComputeSettings()
    online: OnlineScale | None = None
    batch: BatchScale | None = None
    distributed: DistributedSettings | None = None
    network: Literal["public", "managed"] = "public"
    allowed_addresses: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    budget: BudgetSettings | None = None


Group = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$")]


class AccessSettings(Settings):
    """The people of the environment: object ids of groups in Microsoft Entra ID, or empty.

    What each may do stands in `infrastructure/roles.yml`.
    """

    data_scientists: Group = ""
    ml_engineers: Group = ""
    data_engineers: Group = ""
    infrastructure_team: Group = ""


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
    """The share of traffic, in percent, that a new deployment gets in each stage, and its test.

    Before the first stage, `mirror` percent of the traffic (Azure allows up to 50) are copied to
    the deployment, whose answers no client sees.
    """

    mirror: int = Field(default=0, ge=0, le=50)
    stages: tuple[int, ...] = Field(min_length=1)
    requests_per_stage: int = Field(default=20, ge=1, le=10_000)
    p95_ms: float = Field(gt=0)

    @field_validator("stages")
    @classmethod
    def _ascend_to_100(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if list(stages) != sorted(set(stages)) or stages[0] < 1 or stages[-1] != 100:
            raise ValueError("write ascending percentages that end with 100, such as [10, 50, 100]")
        return stages


class AcceptanceSettings(Settings):
    """The tests of a deployment before it gets traffic.

    `requests` are sent by `clients` at once, and answered within `rollout.p95_ms`. `agreement` is
    the least share of held-out rows for which the answer is that of the version that serves now;
    0 lets any answer pass.
    """

    requests: int = Field(default=100, ge=1, le=10_000)
    clients: int = Field(default=4, ge=1, le=100)
    agreement: float = Field(default=0.8, ge=0, le=1)


class Owner(Settings):
    """Who answers for the model; a tag of each resource in Azure."""

    team: str
    contact: str


class FederationSettings(Settings):
    """Whose tokens Azure takes for the identity of the CI/CD: issuer and subject, letter by letter."""

    issuer: str = Field(pattern=r"^https://")
    subject: str = Field(min_length=1)


class CicdSettings(Settings):
    """The environment on the CI/CD platform whose reviewers let a version in here.

    `service_connection` is what Azure DevOps signs in to Azure with; `federation` is what Azure
    knows the CI/CD by.
    """

    environment: str = Field(min_length=1)
    service_connection: str | None = None
    federation: FederationSettings | None = None


TestName = Literal["gate", "batch", "rollout"]
TESTS: tuple[TestName, ...] = ("gate", "batch", "rollout")  # in the order in which they are passed


class EnvironmentSettings(Settings):
    """`environments/<name>.yml`."""

    name: str
    description: str = ""
    model: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$")
    owner: Owner | None = None
    azure: AzureSettings
    access: AccessSettings = AccessSettings()
    endpoints: EndpointNames
    ci_cd: CicdSettings | None = None
    tests: tuple[TestName, ...] = Field(default=("gate", "rollout"), validate_default=True)
    gate: GateSettings
    rollout: RolloutSettings | None = None
    acceptance: AcceptanceSettings = AcceptanceSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    retraining: RetrainingSettings = RetrainingSettings()

    @property
    def champion_test(self) -> TestName:
        """The last of the tests: the version that passes it becomes the champion."""
        return next((test for test in reversed(TESTS) if test in self.tests), "gate")

    @property
    def alerts(self) -> bool:
        """Whether Azure watches here, and tells the owner of what goes wrong."""
        said = self.monitoring.alerts
        return self.name == "prod" if said is None else said

    @field_validator("tests")
    @classmethod
    def _tests_have_their_endpoint(
        cls, tests: tuple[str, ...], others: ValidationInfo
    ) -> tuple[str, ...]:
        endpoints: EndpointNames | None = others.data.get("endpoints")
        if endpoints and not endpoints.online and "rollout" in tests:
            raise ValueError(
                "there is no rollout without an online endpoint; "
                "name one under `endpoints.online`, or write `tests: [gate]`"
            )
        if endpoints and not endpoints.batch and "batch" in tests:
            raise ValueError(
                "there is no test in batches without a batch endpoint; "
                "name one under `endpoints.batch`, or remove `batch`"
            )
        return tests

    @model_validator(mode="after")
    def _data_scientists_work_in_dev(self) -> EnvironmentSettings:
        if self.access.data_scientists and self.name != "dev":
            raise ValueError(
                "`access.data_scientists`: data scientists work in dev only; remove it"
            )
        return self

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

    @model_validator(mode="after")
    def _logic_app_reaches_its_secret(self) -> EnvironmentSettings:
        if self.monitoring.events == "logic_app" and self.azure.network == "managed":
            raise ValueError(
                "`monitoring.events`: a managed network closes the key vault to the Logic App; "
                "write `events: poll`"
            )
        return self


class ProjectSettings(Settings):
    """`[tool.mlops]` in `pyproject.toml`."""

    package: str
    environments: tuple[str, ...] = Field(min_length=1)
