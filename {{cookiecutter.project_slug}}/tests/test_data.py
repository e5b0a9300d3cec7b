from pathlib import Path

import pytest

from mlops.contract import Contract
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
