"""Answers: what is refused and how, and that text arrives as it was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import TEMPLATE, generate

COOKIECUTTER = [sys.executable, "-m", "cookiecutter", "--no-input"]


def refuse(folder: Path, **answers: str) -> str:
    """What cookiecutter says about answers that it refuses."""
    config = folder / "config.yml"
    config.write_text(f"replay_dir: {folder / 'replay'}\n", encoding="utf-8")
    done = subprocess.run(
        [*COOKIECUTTER, "--config-file", str(config), "--output-dir", str(folder), str(TEMPLATE),
         *(f"{name}={value}" for name, value in answers.items())],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["config.yml", "replay"]
    return done.stdout + done.stderr


def test_all_bad_answers_are_named_at_once_with_a_value_that_would_do(tmp_path: Path) -> None:
    said = refuse(
        tmp_path,
        project_name="",
        project_slug="1_Bad Slug!",
        azure_subscription_id="mine",
        azure_location="West Europe",
    )
    assert "4 answer(s) will not do" in said
    for line in ("project_slug = '1_Bad Slug!'", "for example: 'bad-slug'", "'westeurope'"):
        assert line in said


@pytest.mark.parametrize(
    "slug",
    ["mlops", "pandas", "requests", "yes", "json", "class", "a", "a--b", "-ab", "ab-", "ä-b", "A"],
)
def test_a_slug_that_cannot_be_a_package_or_an_azure_name_is_refused(
    slug: str, tmp_path: Path
) -> None:
    assert "project_slug" in refuse(tmp_path, project_slug=slug)


@pytest.mark.parametrize(
    "slug", ["mlops", "pandas", "x", "", "!!!", "9lives", "ÄÖÜ", "a" * 50, "tests", "a_b.c"]
)
def test_the_suggested_slug_would_do(slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = load_hook()
    suggested = hook["_good_slug"](slug)
    assert hook["_slug_rule"](suggested) == ""


@pytest.mark.parametrize("name", ["two\nlines", "x" * 101, "   ", "tab\there"])
def test_a_name_that_is_not_one_short_line_is_refused(name: str, tmp_path: Path) -> None:
    assert "project_name" in refuse(tmp_path, project_name=name, project_slug="good-slug")


@pytest.mark.parametrize(
    "text",
    [
        'It\'s "quoted"',
        r"C:\new\table",
        "a: b # c",
        "$(touch x) `id`",
        "emoji 🚀 and שלום",
        "first line\nsecond line",
        "'''\"\"\"",
        "ends with \\",
    ],
)
def test_text_arrives_unchanged_and_every_file_parses(text: str, tmp_path: Path) -> None:
    one_line = " ".join(text.splitlines())
    made = generate(
        tmp_path, project_name=one_line, project_slug="a-model", description=text, team=one_line
    )
    readme = (made / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {one_line}\n\n{text}\n")
    assert one_line in readme.split("\n## ")[0] or one_line in readme
    for file in made.rglob("*.yml"):
        yaml.safe_load(file.read_text(encoding="utf-8"))


def test_an_empty_subscription_and_location_give_local_workspaces(tmp_path: Path) -> None:
    made = generate(tmp_path, azure_location="", azure_subscription_id="")
    azure = yaml.safe_load((made / "environments" / "prod.yml").read_text())["azure"]
    assert (azure["subscription_id"], azure["location"]) == ("", "")


def test_a_long_project_name_gives_a_slug_that_is_accepted(tmp_path: Path) -> None:
    made = generate(tmp_path, project_name="Customer Lifetime Value Regression of 2026")
    assert made.name == "customer-lifetime"


def load_hook() -> dict[str, object]:
    """The functions of the pre_gen hook, with default answers rendered into it."""
    source = (TEMPLATE / "hooks" / "pre_gen_project.py").read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "hook"}
    exec(source.replace("{{ cookiecutter | tojson }}", "{}"), names)  # noqa: S102
    return names


def test_no_package_that_a_project_needs_can_be_hidden() -> None:
    rule = load_hook()["_slug_rule"]
    constraints = TEMPLATE / "{{cookiecutter.project_slug}}" / "constraints.txt"
    for line in constraints.read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0].strip().lower().replace("_", "-").replace(".", "-")
        if line and not line.startswith("#"):
            assert rule(name) != "", name
