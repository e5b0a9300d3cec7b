"""Decision records and model cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mlops.decisions import Check, Decision, now, read_decision
from mlops.files import write_json
from mlops.model_card import model_card

from .builders import regression

PASSED = Check(
    rule="rmse", value=1.23456, limit=2.0, comparison="at most", passed=True, detail="a | b"
)
FAILED = Check(rule="r2", value=None, limit=0.5, comparison="at least", passed=False)


def decision(*checks: Check, **more: Any) -> Decision:
    base = {"kind": "gate", "environment": "dev", "model": "churn", "time": now()}
    return Decision(**{**base, "checks": checks, **more})


def test_a_decision_is_accepted_if_every_check_passed() -> None:
    assert decision(PASSED, PASSED).accepted
    assert not decision(PASSED, FAILED).accepted
    assert decision(PASSED, FAILED).refusals == [FAILED.show()]


def test_a_check_is_a_line_for_a_person() -> None:
    assert PASSED.show() == "passed  rmse: 1.235, at most 2 (a | b)"
    assert FAILED.show() == "FAILED  r2: None, at least 0.5"


def test_a_record_reads_back_as_the_same_decision(tmp_path: Path) -> None:
    made = decision(PASSED, FAILED, version=3, facts={"git_commit": "abc", "ü": 1})
    write_json(tmp_path / "d.json", made.record())
    assert read_decision(tmp_path / "d.json") == made
    assert made.record()["accepted"] is False


def test_a_value_that_could_not_be_computed_reads_back_as_none(tmp_path: Path) -> None:
    made = decision(Check(rule="r", value=float("nan"), limit=1.0, passed=False))
    write_json(tmp_path / "d.json", made.record())
    assert read_decision(tmp_path / "d.json").checks[0].value is None


def test_time_is_in_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now())


EVALUATION: dict[str, Any] = {
    "rows": 120,
    "metrics": {"rmse": 1.23456, "r2": None},
    "intervals": {"rmse": [1.0, 1.5], "r2": [None, None]},
    "slices": {"plan = a|b": {"rows": 7, "metrics": {"rmse": 2.0, "r2": 0.5}}},
    "plots": ["residuals"],
}


def card(*checks: Check, **more: Any) -> list[str]:
    facts = {"git_commit": "abc", "metrics": "{}"}
    made = decision(*checks, **{"facts": facts, **more})
    return model_card(made, regression(description="What it is."), EVALUATION).splitlines()


def test_a_card_says_what_was_decided_and_why() -> None:
    lines = card(PASSED, FAILED)
    assert lines[0] == "# churn: refused in dev"
    assert "Test. What it is." in lines
    assert any("120 held-out rows" in line for line in lines)
    assert "| rmse | 1.235 | 1 to 1.5 |" in lines
    assert "| r2 | - | - to - |" in lines
    assert "| r2 | - | at least 0.5 | FAILED |  |" in lines
    assert "| git_commit | abc |" in lines
    assert not any(line.startswith("| metrics") for line in lines)
    assert "![residuals](plots/residuals.png)" in lines


def test_a_card_of_an_accepted_model_names_its_version() -> None:
    assert card(PASSED, version=4)[0] == "# churn: accepted in dev as version 4"


@pytest.mark.parametrize("cell", ["a \\| b", "plan = a\\|b"])
def test_a_bar_inside_a_cell_does_not_break_the_table(cell: str) -> None:
    (line,) = [line for line in card(PASSED) if cell in line]
    assert line.startswith("| ")
    table = [other for other in card(PASSED) if other.startswith("| ")]
    assert len(re.split(r"(?<!\\)\|", line)) in {len(re.split(r"(?<!\\)\|", t)) for t in table}


def test_a_line_break_inside_a_cell_does_not_break_the_table() -> None:
    lines = card(Check(rule="r", value="one\ntwo", limit=None, passed=True))
    assert "| r | one two | - | passed |  |" in lines
