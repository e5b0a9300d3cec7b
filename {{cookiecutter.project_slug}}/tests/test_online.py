"""The online endpoint: what requests may say, and what `mlops deploy` and `rollout` do."""

import json

import pytest

from mlops import release
from mlops.contract import Contract
from mlops.scoring.requests import BadRequest, RequestReader
from mlops.training import Training
from mlops.workspaces import Workspace


def test_requests_made_from_the_contract_can_be_read(contract: Contract) -> None:
    rows = contract.examples(5)
    table = RequestReader(contract).read(json.dumps({"input_data": rows}).encode())
    assert list(table.columns) == list(contract.features)
    assert len(table) == 5


def test_a_request_with_an_unknown_field_is_refused(contract: Contract) -> None:
    row = {**contract.examples(1)[0], "unknown_field": 1}
    with pytest.raises(BadRequest, match="unknown_field"):
        RequestReader(contract).read(json.dumps({"input_data": [row]}).encode())


def test_a_trained_model_is_deployed_and_gets_the_traffic(
    workspace: Workspace, trained: Training
) -> None:
    assert trained.version, trained.decision.refusals
    name = release.deployment_name(trained.version)
    assert all(decision.accepted for decision in release.deploy(workspace, report=print))
    assert workspace.endpoint().traffic.get(name, 0) == 0
    assert release.rollout(workspace, report=print).accepted
    assert workspace.endpoint().traffic == {name: 100}
    champion = workspace.champion()
    assert champion and champion.number == trained.version.number
