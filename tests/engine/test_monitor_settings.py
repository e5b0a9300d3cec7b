"""What an environment's file may say of alerts and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mlops.settings import EnvironmentSettings

from ..conftest import generated

WORKFLOW = (
    "https://api.example.com/repos/example/churn-model/actions/workflows/monitoring.yml/dispatches"
)
Read = Callable[..., EnvironmentSettings]


@pytest.fixture(scope="module")
def read() -> Read:
    """Settings of an environment with another `monitoring`, or none."""
    files = {name: yaml.safe_load((generated() / "environments" / f"{name}.yml").read_text())
             for name in ("dev", "staging", "prod")}  # fmt: skip

    def made(environment: str, network: str = "public", **monitoring: Any) -> EnvironmentSettings:
        azure = {**files[environment]["azure"], "network": network}
        return EnvironmentSettings.model_validate(
            {**files[environment], "azure": azure, "monitoring": monitoring}
        )

    return made


def test_the_owner_is_told_of_production_unless_a_file_says_otherwise(read: Read) -> None:
    assert [read(name).alerts for name in ("dev", "staging", "prod")] == [False, False, True]
    assert read("staging", alerts=True).alerts
    assert not read("prod", alerts=False).alerts


def test_by_default_the_stage_looks_by_itself(read: Read) -> None:
    assert read("prod").monitoring.events == "poll"


@pytest.mark.parametrize(
    "address",
    [WORKFLOW, "https://dev.example.com/example/churn%20model/_apis/pipelines/7/runs"],
)
def test_a_logic_app_calls_an_address(read: Read, address: str) -> None:
    settings = read("prod", events="logic_app", dispatch_url=address)
    assert settings.monitoring.dispatch_url == address


@pytest.mark.parametrize(
    "address",
    [
        WORKFLOW.replace("https", "http"),
        WORKFLOW.removesuffix("/dispatches"),
        f"{WORKFLOW}?ref=main",
        f"{WORKFLOW}\n",
        WORKFLOW.replace("churn-model", "@{body('token')}"),
        WORKFLOW.replace("https://", "https://somebody:secret@"),
        "https://dispatches",
    ],
)
def test_an_address_has_letters_that_mean_nothing_else(read: Read, address: str) -> None:
    with pytest.raises(ValidationError, match="dispatch_url"):
        read("prod", events="logic_app", dispatch_url=address)


def test_a_logic_app_without_an_address_is_refused(read: Read) -> None:
    with pytest.raises(ValidationError, match="`dispatch_url` is missing"):
        read("prod", events="logic_app")


def test_a_logic_app_is_refused_where_it_cannot_reach_its_secret(read: Read) -> None:
    with pytest.raises(ValidationError, match="closes the key vault"):
        read("prod", network="managed", events="logic_app", dispatch_url=WORKFLOW)
    assert read("prod", network="managed").monitoring.events == "poll"
