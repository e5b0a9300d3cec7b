from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlops import step
from mlops.errors import MlopsError, Refused, UsageError

from .builders import write


def example(data: Path, rate: float, rounds: int, fast: bool, name: str = "x") -> None:
    """Do something.

    More about it.
    """
    calls.append((data, rate, rounds, fast, name))


calls: list[tuple[object, ...]] = []
GIVEN = ["--data", "a b", "--rate", "0.5", "--rounds", "3", "--fast", "false"]


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def test_options_have_the_names_and_types_of_the_parameters() -> None:
    assert step.run(example, "program", GIVEN) == 0
    assert step.run(example, "program", [*GIVEN, "--name", "é", "--fast", "TRUE"]) == 0
    assert calls == [(Path("a b"), 0.5, 3, False, "x"), (Path("a b"), 0.5, 3, True, "é")]


def test_a_whole_number_may_have_a_decimal_point() -> None:
    assert step.run(example, "program", [*GIVEN, "--rounds", "32.0"]) == 0
    assert calls == [(Path("a b"), 0.5, 32, False, "x")]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (GIVEN[2:], "--data"),
        ([*GIVEN, "--rounds", "2.5"], "write a whole number, not '2.5'"),
        ([*GIVEN, "--fast", "yes"], "write true or false, not 'yes'"),
        ([*GIVEN, "--unknown", "1"], "unrecognized arguments"),
        ([*GIVEN, "--nam", "1"], "unrecognized arguments"),
    ],
)
def test_wrong_options_are_wrong_usage(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        step.run(example, "program", arguments)
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize(("error", "status"), [(MlopsError, 1), (UsageError, 2), (Refused, 3)])
def test_an_error_for_a_person_is_a_message_and_a_status(
    error: type[MlopsError], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error("because")

    assert step.run(fail, "program", []) == status
    assert capsys.readouterr().err == "error: because\n"


def test_help_says_what_the_step_does() -> None:
    text = step.parser_of(example, "program").format_help()
    assert "Do something." in text
    assert "More about it" not in text


def test_the_package_is_the_one_beside_the_engine(tmp_path: Path) -> None:
    write(tmp_path / "mlops" / "__init__.py", "")
    write(tmp_path / "mine" / "__init__.py", "")
    write(tmp_path / "no_package" / "file.py", "")
    assert step.package_name(tmp_path) == "mine"


@pytest.mark.parametrize(("packages", "found"), [([], "none"), (["b", "a"], "a, b")])
def test_no_package_or_two_are_wrong_usage(tmp_path: Path, packages: list[str], found: str) -> None:
    for name in ["mlops", *packages]:
        write(tmp_path / name / "__init__.py", "")
    with pytest.raises(UsageError, match=f"must hold one package beside mlops.*: {found}"):
        step.package_name(tmp_path)


def test_a_step_that_is_not_there_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"there is no step `fly`: .*fly.py is missing"):
        step.step_function("fly")
    with pytest.raises(UsageError, match="must define the function `features`"):
        step.step_function("features")


def test_the_command_line_ends_with_the_status_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--contract", "none.yml", "--data", "none", "--prepared", str(tmp_path)]
    monkeypatch.setattr(
        sys, "argv", ["mlops.step", "prepare", *options, "--holdout_fraction", "0.2"]
    )
    with pytest.raises(SystemExit) as caught:
        step.main()
    assert caught.value.code == 2
    assert "none.yml:1: the file is missing" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["mlops.step", "fly"])
    with pytest.raises(SystemExit, match="2"):
        step.main()
    assert "error: there is no step `fly`" in capsys.readouterr().err
