"""What comes out: the same files for the same answers, nothing left of the template in them."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import TEMPLATE, generate, generated, run_mlops

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHOICES = {
    "problem_type": ["classification", "regression"],
    "environments": ["dev-staging-prod", "dev-prod"],
    "workspaces": ["one-per-environment", "one-shared"],
}
COMBINATIONS = [dict(zip(CHOICES, values)) for values in itertools.product(*CHOICES.values())]
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
# Files that carry answers; all others are plain, so that the usual tools read them in place.
WITH_ANSWERS = {"README.md", "pyproject.toml", "environments", "docs"}

every_combination = pytest.mark.parametrize(
    "answers", COMBINATIONS, ids=["-".join(answers.values()) for answers in COMBINATIONS]
)


def files_of(project: Path) -> dict[str, bytes]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@every_combination
def test_every_file_parses_and_nothing_of_the_template_is_left(answers: dict[str, str]) -> None:
    for name, content in files_of(generated(**answers)).items():
        if name.endswith(".parquet"):
            continue
        text = content.decode("utf-8")
        if Path(name).parts[0] in WITH_ANSWERS:
            assert not re.search(r"\{\{|\{%", text), name
        assert "cookiecutter." not in text, name
        assert text.endswith("\n") and not text.endswith("\n\n"), name
        if name.endswith(".yml"):
            yaml.safe_load(text)
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith(".py"):
            ast.parse(text)


@every_combination
def test_a_choice_that_was_not_taken_leaves_no_trace(answers: dict[str, str]) -> None:
    files = files_of(generated(**answers))
    other = {"classification": "regress", "regression": "classif"}[answers["problem_type"]]
    own = [
        name for name in files if name.startswith(("data/", "src/churn_model/", "environments/"))
    ]
    assert [name for name in own if other in files[name].decode("utf-8", "ignore").lower()] == []
    assert not [name for name in files if "__" in Path(name).stem.strip("_")]
    with_staging = answers["environments"] == "dev-staging-prod"
    assert ("environments/staging.yml" in files) == with_staging
    mentions = [
        n for n in ("README.md", "pyproject.toml", "docs/runbook.md") if b"staging" in files[n]
    ]
    assert bool(mentions) == with_staging


@every_combination
def test_environments_share_a_workspace_only_where_that_was_chosen(answers: dict[str, str]) -> None:
    project = generated(**answers)
    named = [
        yaml.safe_load(file.read_text())["azure"]["workspace"]
        for file in (project / "environments").glob("*.yml")
    ]
    assert len(set(named)) == (1 if answers["workspaces"] == "one-shared" else len(named))


@every_combination
def test_the_project_has_no_findings_in_its_own_checks(answers: dict[str, str]) -> None:
    project = generated(**answers)
    assert json.loads(run_mlops(project, "check", "--json").stdout) == []


@pytest.mark.parametrize("problem_type", CHOICES["problem_type"])
def test_formatter_linters_and_types_have_nothing_to_say(problem_type: str, tmp_path: Path) -> None:
    project = generated(problem_type=problem_type)
    for command in (
        ["ruff", "format", "--check", "--no-cache", "."],
        ["ruff", "check", "--no-cache", "."],
        ["yamllint", "--strict", "."],
        ["mypy", "--cache-dir", str(tmp_path)],
    ):
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=project, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@every_combination
def test_every_relative_link_and_every_named_path_exists(answers: dict[str, str]) -> None:
    project = generated(**answers)
    for file in project.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text(encoding="utf-8")):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    assert files_of(generate(tmp_path / "one")) == files_of(generate(tmp_path / "two"))


def test_cruft_makes_what_cookiecutter_makes_and_sees_no_difference(tmp_path: Path) -> None:
    template = tmp_path / "template"
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TEMPLATE, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        target = template / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((TEMPLATE / name).read_bytes())
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "template"]):
        subprocess.run([*git, *arguments], cwd=template, check=True)
    cruft = [str(Path(sys.executable).parent / "cruft")]
    subprocess.run(
        [*cruft, "create", str(template), "-y", "--output-dir", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    made = tmp_path / "churn-model"
    files = files_of(made)
    assert files.pop(".cruft.json")
    assert files == files_of(generate(tmp_path / "plain"))
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=made, check=True)
    done = subprocess.run([*cruft, "diff", "--exit-code"], cwd=made, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


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


def test_jinja_stays_in_the_few_files_that_carry_answers() -> None:
    lines = blocks = 0
    for path in PROJECT.rglob("*"):
        if not path.is_file() or path.suffix == ".parquet":
            continue
        text = path.read_text(encoding="utf-8")
        with_answers = path.relative_to(PROJECT).parts[0] in WITH_ANSWERS
        lines += text.count("\n")
        blocks += sum("{%" in line for line in text.splitlines())
        assert with_answers or "cookiecutter" not in text, path
    assert blocks / lines < 0.03


def test_hooks_are_pure_functions_of_the_answers() -> None:
    allowed = {"json", "keyword", "re", "sys", "typing", "shutil", "pathlib"}
    for hook in (TEMPLATE / "hooks").glob("*.py"):
        tree = ast.parse(hook.read_text(encoding="utf-8"))
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
            )
        }
        assert imported <= allowed, hook.name


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
