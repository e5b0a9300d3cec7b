"""The CI/CD files: valid for their platforms, tidy, safe, and with nothing in them that is not there.

All checks for every combination of environments, workspaces, serving and infrastructure; that each
check can fail is `test_files_broken.py`.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ENGINE, TEMPLATE, generated
from tests.matrix import CHOICES

from . import actionlint, checks
from .shell_references import PUBLISHED

PLATFORMS = ["github-actions", "azure-devops"]
VARIED = ["environments", "workspaces", "serving", "infrastructure"]
RENDERED = {".github/CODEOWNERS", ".azure-pipelines/CODEOWNERS", ".azure-pipelines/names.yaml"}


def combinations(ci_cd: str) -> Iterator[tuple[dict[str, str], Path]]:
    """A project for each combination of the answers that the files could depend on."""
    for values in itertools.product(*(CHOICES[name] for name in VARIED)):
        answers = dict(zip(VARIED, values))
        yield answers, generated(ci_cd=ci_cd, **answers)


@pytest.mark.parametrize(
    ("name", "ci_cd"), [(n, p) for n, (_, platforms) in checks.CHECKS.items() for p in platforms]
)
@pytest.mark.parametrize("infrastructure", CHOICES["infrastructure"])
def test_no_tool_finds_anything(name: str, ci_cd: str, infrastructure: str) -> None:
    # The files are the same for all other answers: the next test.
    project = generated(ci_cd=ci_cd, infrastructure=infrastructure)
    assert checks.CHECKS[name][0](project, ci_cd) == ""


@pytest.mark.parametrize("ci_cd", PLATFORMS)
def test_the_files_are_the_same_whatever_the_other_answers(ci_cd: str) -> None:
    for answers, project in combinations(ci_cd):
        plain = generated(ci_cd=ci_cd, infrastructure=answers["infrastructure"])
        assert plain_files(project, ci_cd) == plain_files(plain, ci_cd), answers


def plain_files(project: Path, ci_cd: str) -> dict[str, bytes]:
    """The platform's files that carry no answers."""
    files = [file for file in (project / checks.FOLDERS[ci_cd]).rglob("*") if file.is_file()]
    named = {file.relative_to(project).as_posix(): file.read_bytes() for file in files}
    return {name: content for name, content in named.items() if name not in RENDERED}


@pytest.mark.parametrize("ci_cd", PLATFORMS)
def test_all_that_the_files_refer_to_is_there_in_every_combination(ci_cd: str) -> None:
    for answers, project in combinations(ci_cd):
        assert checks.references(project, ci_cd) == "", answers


def test_the_names_of_azure_devops_are_those_of_the_environments() -> None:
    for answers, project in combinations("azure-devops"):
        names = load(project / ".azure-pipelines" / "names.yaml")["variables"]
        environments = answers["environments"].split("-")
        assert names.pop("model") == "churn-model"
        assert names.pop("environments").split(",") == environments
        assert names.pop("later_environments").split(",") == environments[1:]
        for number, name in enumerate(environments):
            of_file = load(project / "environments" / f"{name}.yml")["ci_cd"]
            assert names.pop(f"environment_{name}") == of_file["environment"]
            assert names.pop(f"service_connection_{name}") == of_file["service_connection"]
            if number:
                assert names.pop(f"before_{name}").split(",") == environments[:number]
        connection = names.pop("service_connection_monitoring")
        assert connection == "azure-churn-model-monitoring"
        if answers["infrastructure"] == "bicep":
            shared = answers["workspaces"] == "one-shared"
            assert names.pop("deployments").split(",") == (["dev"] if shared else environments)
            assert names.pop("environment_infrastructure") == "churn-model-infrastructure"
            connection = names.pop("service_connection_infrastructure")
            assert connection == "azure-churn-model-infrastructure"
        assert names == {}


def load(file: Path) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = yaml.safe_load(file.read_text("utf-8"))
    return content


def test_the_variables_template_is_valid_where_it_is_included(tmp_path: Path) -> None:
    # The schema knows templates of steps, but none of variables alone.
    names = generated(ci_cd="azure-devops") / ".azure-pipelines" / "names.yaml"
    whole = f"trigger: none\n{names.read_text('utf-8')}steps:\n  - checkout: self\n"
    (tmp_path / "whole.yml").write_text(whole, encoding="utf-8")
    assert checks.run("check-jsonschema", *checks.AZURE, "whole.yml", folder=tmp_path) == ""


@pytest.mark.parametrize("ci_cd", PLATFORMS)
def test_every_line_of_the_owners_is_of_files_that_are_there(ci_cd: str) -> None:
    for answers, project in combinations(ci_cd):
        lines = (project / checks.FOLDERS[ci_cd] / "CODEOWNERS").read_text("utf-8").splitlines()
        rules = [line.split() for line in lines if line and not line.startswith("#")]
        for pattern, *owners in rules:
            assert pattern == "*" or (project / pattern[1:]).exists(), (answers, pattern)
            handle = "@ORGANIZATION/" if ci_cd == "github-actions" else "@"
            assert owners and all(owner.startswith(handle) for owner in owners), pattern
        owners_of = {pattern: owners for pattern, *owners in rules}
        assert len(owners_of["/environments/prod.yml"]) == 2
        assert ("/infrastructure/" in owners_of) == (answers["infrastructure"] == "bicep")
        order = list(owners_of)
        assert order.index("/environments/prod.yml") > order.index("/environments/")


def test_the_engine_hands_over_what_the_files_wait_for() -> None:
    written: set[str] = set()
    for file in Path(ENGINE, "mlops").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "publish":
                for values in (part for part in node.args if isinstance(part, ast.Dict)):
                    written |= {str(k.value) for k in values.keys if isinstance(k, ast.Constant)}
    assert set().union(*PUBLISHED.values()) <= written


def test_every_false_error_of_actionlint_still_occurs() -> None:
    files = sorted(generated(ci_cd="github-actions").glob(".github/workflows/*.yml"))
    found = actionlint.errors(files)
    for false in actionlint.FALSE_ERRORS:
        assert any(actionlint.matches(error, false) for error in found), false


def test_no_file_has_a_comment_that_silences_a_check() -> None:
    for ci_cd in PLATFORMS:
        for name, content in plain_files(generated(ci_cd=ci_cd), ci_cd).items():
            silenced = rb"(?i)zizmor:|shellcheck disable|yamllint disable|noqa|checkov:skip"
            assert not re.search(silenced, content), name


@pytest.mark.parametrize("name", ["schemas", "zizmor", "references", "actionlint", "shellcheck"])
def test_the_workflow_of_the_template_itself_has_no_findings(name: str) -> None:
    assert checks.CHECKS[name][0](TEMPLATE, "github-actions") == ""


def test_the_workflow_of_the_template_itself_is_tidy() -> None:
    rules = TEMPLATE / "{{cookiecutter.project_slug}}" / ".yamllint.yml"
    arguments = ["--strict", "--config-file", str(rules), ".github"]
    assert checks.run("yamllint", *arguments, folder=TEMPLATE) == ""


def test_the_template_pins_the_same_releases_as_its_projects() -> None:
    def pins(folder: Path) -> set[str]:
        texts = [file.read_text("utf-8") for file in folder.rglob("*.yml")]
        return set(re.findall(r"uses: ([\w/-]+@.*)", "\n".join(texts)))

    assert pins(TEMPLATE / ".github") <= pins(generated(ci_cd="github-actions") / ".github")
