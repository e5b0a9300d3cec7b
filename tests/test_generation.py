"""What comes out: the exact files for the answers, whole, plain and without a trace of the rest."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_bicep
import yaml

from mlops.checks import check_project
from mlops.project import find_project

from .conftest import TEMPLATE, files_of, generate, generated
from .matrix import CHOICES, TRACES, Answers, expected_files, name_of, pairwise

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BICEP = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
MATRIX = pairwise()
every_answer = pytest.mark.parametrize("answers", MATRIX, ids=[name_of(row) for row in MATRIX])


def texts_of(project: Path) -> dict[str, str]:
    """The text files of a project."""
    files = files_of(project)
    return {name: c.decode("utf-8") for name, c in files.items() if not name.endswith(".parquet")}


def test_every_two_values_of_every_two_choices_meet_in_the_matrix() -> None:
    for one, values in CHOICES.items():
        for other, others in CHOICES.items():
            if one < other:
                met = {(row[one], row[other]) for row in MATRIX}
                assert met == {(a, b) for a in values for b in others}, (one, other)


@every_answer
def test_the_files_are_exactly_those_of_the_answers(answers: Answers) -> None:
    assert set(files_of(generated(**answers))) == expected_files(answers)


@every_answer
def test_every_file_parses_and_nothing_of_the_template_is_left(answers: Answers) -> None:
    for name, text in texts_of(generated(**answers)).items():
        assert text.endswith("\n") and not text.endswith("\n\n"), name
        assert not text.startswith("\n") and "\n\n\n\n" not in text, name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), name
        if not name.startswith("src/mlops/"):  # which speaks of cruft's file
            assert "cookiecutter." not in text, name
        if not name.startswith((".github/", ".azure-pipelines/", "pipelines/", "docs/", "src/")):
            assert "{{" not in text and "{%" not in text, name
        parse(name, text)


def parse(name: str, text: str) -> None:
    """Read a file as what its name says it is."""
    if name.endswith(".yml"):
        yaml.safe_load(text)
    elif name.endswith(".toml"):
        tomllib.loads(text)
    elif name.endswith(".json"):
        json.loads(text)
    elif name.endswith(".py"):
        ast.parse(text)
    elif name.endswith((".bicep", ".bicepparam")):
        # The grammar knows `param` only with a type, which a parameters file leaves out.
        known = re.sub(r"^param (\w+) =", r"var \1 =", text, flags=re.MULTILINE)
        assert not BICEP.parse(known.encode()).root_node.has_error, name


# What is whole for all answers.
WHOLE = ("src/mlops/", "constraints.txt", "infrastructure/modules/", "infrastructure/roles.yml")


@every_answer
def test_a_choice_that_was_not_taken_leaves_no_trace(answers: Answers) -> None:
    texts = texts_of(generated(**answers))
    for pattern, (answer, values) in TRACES.items():
        found = [
            f"{name}: {match[0]}"
            for name, text in texts.items()
            if not name.startswith(WHOLE) and not name.endswith(".bicep")
            if (match := re.search(pattern, text, re.IGNORECASE))
        ]
        if answers[answer] in values:
            assert found, f"nothing speaks of {pattern}: this test has lost its meaning"
        else:
            assert not found, f"{answer} is {answers[answer]}"
    other = {"classification": "regress", "regression": "classif"}[answers["problem_type"]]
    own = ("data/", "src/churn_model/", "environments/")
    assert [n for n, text in texts.items() if n.startswith(own) and other in text.lower()] == []


@every_answer
def test_every_named_path_and_every_relative_link_exists(answers: Answers) -> None:
    project = generated(**answers)
    folders = {path.name for path in project.iterdir() if path.is_dir()} | {
        ".github", ".azure-pipelines", ".azureml", "infrastructure", "docs", "deployment"
    }  # fmt: skip
    for name, text in texts_of(project).items():
        file = project / name
        if name.endswith(".md"):
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
                assert (file.parent / target).exists(), f"{name}: {target}"
        if name.startswith("src/mlops/"):  # which serves all answers
            continue
        for path in re.findall(r"(?<![\w./<>-])((?:[\w.-]+/)+[\w.<>*-]*)", text):
            if path.startswith("data/pulled/"):
                continue  # made by `mlops data pull`, ignored by git
            if path.split("/")[0] in folders:
                pattern = re.sub(r"<\w+>|\bENV\b|\bNEXT\b", "*", path.rstrip("./"))
                assert list(project.glob(pattern)), f"{name}: {path}"


@every_answer
def test_the_project_has_no_findings_and_no_linter_has_any(answers: Answers) -> None:
    project = generated(**answers)
    assert [finding.show(project) for finding in check_project(find_project(project))] == []
    for command in (
        ["ruff", "format", "--check", "--no-cache", "."],
        ["ruff", "check", "--no-cache", "."],
        ["yamllint", "--strict", "."],
    ):
        lint(project, *command)


@pytest.mark.parametrize("problem_type", CHOICES["problem_type"])
def test_the_types_have_nothing_to_say(problem_type: str, tmp_path: Path) -> None:
    lint(generated(problem_type=problem_type), "mypy", "--cache-dir", str(tmp_path))


def lint(project: Path, *command: str) -> None:
    """Run one of the project's tools, which must have nothing to say."""
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_the_hooks_table_is_in_the_template() -> None:
    source = (TEMPLATE / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "hook"}
    exec(source.replace("{{ cookiecutter | tojson }}", "{}"), names)  # noqa: S102
    for name in names["KEPT"]:
        path = name.format(package="{{cookiecutter.__package}}")
        assert (TEMPLATE / "{{cookiecutter.project_slug}}" / path).exists(), name


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = generate(tmp_path / "one"), generate(tmp_path / "two")
    assert files_of(one) == files_of(two)


def test_the_sample_tables_are_what_their_scripts_write(tmp_path: Path) -> None:
    import pandas as pd

    for problem in CHOICES["problem_type"]:
        data = generated(problem_type=problem) / "data"
        script = tmp_path / problem / "sample.py"
        script.parent.mkdir()
        script.write_bytes((data / "sample.py").read_bytes())
        subprocess.run([sys.executable, str(script)], check=True)
        pd.testing.assert_frame_equal(
            pd.read_parquet(data / "sample.parquet"),
            pd.read_parquet(script.with_suffix(".parquet")),
        )


def test_help_imports_nothing_heavy() -> None:
    heavy = ["mlflow", "sklearn", "pandas", "numpy", "pyarrow", "pandera", "azure", "pydantic"]
    code = f"import sys, mlops.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=generated() / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
