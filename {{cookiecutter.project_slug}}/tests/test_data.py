from pathlib import Path

import pytest

from mlops.contract import Contract
from mlops.scoring.requests import BadRequest, RequestReader
from mlops.tables import read_table
from mlops.validation import ContractViolation, validate_table


def test_the_sample_obeys_the_contract(sample: Path, contract: Contract) -> None:
    table = validate_table(read_table(sample, contract), contract)
    assert set(table.columns) == set(contract.columns)


def test_a_table_without_a_feature_is_refused(sample: Path, contract: Contract) -> None:
    feature = next(iter(contract.features))
    table = read_table(sample, contract).drop(columns=feature)
    with pytest.raises(ContractViolation, match=f"`{feature}` the column is missing"):
        validate_table(table, contract)


def test_requests_made_from_the_contract_can_be_read(contract: Contract) -> None:
    import json

    rows = contract.examples(5)
    table = RequestReader(contract).read(json.dumps({"input_data": rows}).encode())
    assert list(table.columns) == list(contract.features)
    assert len(table) == 5


def test_a_request_with_an_unknown_field_is_refused(contract: Contract) -> None:
    import json

    row = {**contract.examples(1)[0], "unknown_field": 1}
    with pytest.raises(BadRequest, match="unknown_field"):
        RequestReader(contract).read(json.dumps({"input_data": [row]}).encode())
