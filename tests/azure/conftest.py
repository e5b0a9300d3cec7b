"""The stand-in for Azure, as a fixture: services once per session, a new subscription per test."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.azure.certificates import Certificates
from tests.azure.checks import CHECKED
from tests.azure.services import Azurite, Mlflow
from tests.azure.stand_in import StandIn
from tests.conftest import SCRATCH, not_here
from tests.specs import SPECS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests with the stand-in in one process of pytest-xdist: its services start once."""
    for item in items:
        if "azure" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("azure"))


class Azure:
    """The stand-in and the variables with which a process finds it."""

    def __init__(self, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stand_in, self._monkeypatch = stand_in, monkeypatch
        self.subscription, self.tenant = stand_in.subscription, stand_in.tenant
        self.sign_in("owner")

    def sign_in(self, name: str) -> None:
        """Be somebody else, in this process and in those that are started; `nobody`: signed out."""
        self.environment = self.stand_in.variables(name)
        for variable, value in self.environment.items():
            self._monkeypatch.setenv(variable, value)

    def add_workspace(self, group: str, name: str) -> str:
        """A workspace with its storage; its ARM id."""
        return self.stand_in.add_workspace(group, name)

    def add_registry(self, group: str, name: str) -> str:
        """A registry; its ARM id."""
        return self.stand_in.add_registry(group, name)


def say_what_is_unchecked() -> None:
    """Warn where there is nothing to check requests against; fail where CI promises to have it."""
    if not CHECKED:
        what = f"requests go unchecked: AZURE_SPECS names no folder of specifications ({SPECS})"
        try:
            not_here(what)
        except pytest.skip.Exception:
            warnings.warn(what, stacklevel=2)


@pytest.fixture(scope="session")
def stand_in() -> Iterator[StandIn]:
    """The server, with what stands behind it: ended with the session, however that ends."""
    say_what_is_unchecked()
    folder = Path(tempfile.mkdtemp(dir=SCRATCH))
    with ExitStack() as ending:
        azurite = Azurite(folder)
        ending.callback(azurite.stop)
        mlflow = Mlflow(folder)
        ending.callback(mlflow.stop)
        served = StandIn(azurite, mlflow, Certificates(folder / "certificates"))
        ending.callback(served.close)
        yield served


@pytest.fixture
def azure(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """A subscription of its own, signed in as its owner; a request that breaks the published
    specifications fails the test when it ends."""
    for variable in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "MSI_ENDPOINT",
                     "AZURE_FEDERATED_TOKEN_FILE", "ALL_PROXY", "all_proxy",
                     "MLFLOW_TRACKING_URI"):  # fmt: skip
        monkeypatch.delenv(variable, raising=False)
    # What the libraries remember of the test before: MLflow its address, and azure-ai-ml, in the one
    # dictionary that each invocation adds to, the deployment that was asked.
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    header = {"Content-Type": "application/json"}
    monkeypatch.setattr(
        "azure.ai.ml.constants._endpoint.EndpointInvokeFields.DEFAULT_HEADER", header
    )
    stand_in.reset()
    yield Azure(stand_in, monkeypatch)
    stand_in.machines.stop()
    stand_in.settle()
    assert not stand_in.findings, "\n".join(stand_in.findings)
