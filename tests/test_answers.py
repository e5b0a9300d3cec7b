"""Answers: what is refused and how, and that text arrives as it was given."""

from __future__ import annotations

import functools
import inspect
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from .conftest import SCRATCH, TEMPLATE, cruft, files_of, generate, template_repository
from .test_generation import parse

RELEASES = json.loads((TEMPLATE / "tests" / "releases.json").read_text(encoding="utf-8"))
COOKIECUTTER = [sys.executable, "-m", "cookiecutter", "--no-input"]


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter on the template as a person would, in a folder."""
    config = SCRATCH / "cookiecutter.yml"
    config.write_text(f"replay_dir: {SCRATCH / 'replay'}\n", encoding="utf-8")
    return subprocess.run(
        [*COOKIECUTTER, "--config-file", str(config), "--output-dir", str(folder), *words],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


def refuse(folder: Path, **answers: str) -> str:
    """What cookiecutter says about answers that it refuses; it leaves nothing behind."""
    done = ask(folder, str(TEMPLATE), *(f"{name}={value}" for name, value in answers.items()))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout + done.stderr


def hook(commit: str | None = None) -> dict[str, Any]:
    """The functions of the pre_gen hook, now or as a commit had it."""
    source = (TEMPLATE / "hooks" / "pre_gen_project.py").read_text(encoding="utf-8")
    sheet = (TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8")
    if commit:
        show = ["git", "show", f"{commit}:hooks/pre_gen_project.py"]
        source, sheet = (
            subprocess.run(command, cwd=TEMPLATE, check=True, capture_output=True, text=True).stdout
            for command in (show, [*show[:2], f"{commit}:cookiecutter.json"])
        )
    names: dict[str, Any] = {"__name__": "hook", "ANSWERS_OF": json.loads(sheet)}
    exec(re.sub(r"\{\{.*?\| tojson \}\}", "{}", source), names)  # noqa: S102
    names["problems_of"] = names["problems"]
    if "given" in inspect.signature(names["problems"]).parameters:
        names["problems_of"] = functools.partial(names["problems"], given={})
    return names


HOOK = hook()
DEFAULTS = {
    "project_name": "Churn Model", "project_slug": "churn-model", "description": "What it does.",
    "team": "Data Science", "contact_email": "team@example.com", "azure_subscription_id": "",
    "azure_tenant_id": "", "azure_location": "westeurope", "name_prefix": "churnmodel",
}  # fmt: skip


def problems(given: dict[str, str] | None = None, **answers: Any) -> list[Any]:
    """The problems that the hook finds in the default answers with these."""
    return HOOK["problems"]({**DEFAULTS, **answers}, given or {})


def test_all_bad_answers_are_named_at_once_with_a_command_that_works(tmp_path: Path) -> None:
    said = refuse(
        tmp_path,
        project_name="",
        project_slug="1_Bad Slug!",
        team='It\'s "quoted" $(x) \\',
        azure_subscription_id="mine",
        azure_location="West Europe",
        contact_email="nobody",
        serving="batch",
    )
    assert "6 answers are not valid; nothing was changed" in said
    for line in ("project_slug = '1_Bad Slug!'", "for example: 'bad-slug'", "'westeurope'"):
        assert line in said
    command = shlex.split(said.partition("Go on with:\n")[2].splitlines()[0])
    assert command[:4] == ["cookiecutter", "--no-input", "--output-dir", str(tmp_path)]
    again = ask(tmp_path, *command[4:])
    assert again.returncode == 0, again.stderr
    assert not (tmp_path / "bad-slug" / "deployment" / "online").exists()
    readme = (tmp_path / "bad-slug" / "README.md").read_text(encoding="utf-8")
    assert 'Owned by It\'s "quoted" $(x) \\ (team@example.com).' in readme


def test_cruft_says_what_to_write_too(tmp_path: Path) -> None:
    answers = json.dumps({"project_slug": "Bad Slug"})
    template = str(template_repository())
    words = ("create", template, "--no-input", "--extra-context", answers)
    lines = cruft(*words, folder=tmp_path, check=False).splitlines()
    assert list(tmp_path.iterdir()) == []
    create = next(line for line in lines if line.startswith("  cruft create "))
    assert json.loads(shlex.split(create)[-1])["project_slug"] == "bad-slug"
    update = next(line for line in lines if line.startswith("  cruft update"))
    assert json.loads(shlex.split(update)[-1]) == {
        "project_slug": "bad-slug",
        "name_prefix": "badslug",
    }


@pytest.mark.parametrize(
    "slug",
    ["mlops", "pandas", "requests", "yes", "json", "class", "a", "a--b", "-ab", "ab-", "ä-b", "A"],
)
def test_a_slug_that_cannot_be_a_package_or_an_azure_name_is_refused(slug: str) -> None:
    assert [problem.answer for problem in problems(project_slug=slug)] == ["project_slug"]


@pytest.mark.parametrize("slug", ["../evil", "a/b", "~", ""])
def test_a_slug_cannot_leave_the_folder(slug: str, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    assert ask(folder, str(TEMPLATE), f"project_slug={slug}").returncode != 0
    # Of a slug with a slash, cookiecutter leaves the empty folder above.
    left = {path.name for path in tmp_path.rglob("*")}
    assert left - {"a"} == {"in", "here"}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("project_name", "two\nlines"),
        ("project_name", "x" * 101),
        ("project_name", "   "),
        ("project_name", "tab\there"),
        ("project_name", "turned \u202e around"),
        ("team", "x" * 101),
        ("team", None),
        ("description", "x" * 1001),
        ("description", "a {{ 7*7 }} b"),
        ("description", "100 {% off"),
        ("description", "bell\a"),
        ("contact_email", "nobody"),
        ("contact_email", "größe@example.com"),
        ("azure_subscription_id", "mine"),
        ("azure_tenant_id", 12),
        ("azure_location", "West Europe"),
        ("name_prefix", "with-dash"),
        ("name_prefix", "x"),
        ("name_prefix", "abcdefghijkl"),
        ("name_prefix", "loginmodel"),
        ("name_prefix", "mywindows"),
    ],
)
def test_what_will_not_do_is_named_with_what_would(answer: str, value: Any) -> None:
    (found,) = problems(**{answer: value})
    assert found.answer == answer
    assert found.rule
    assert problems(**{answer: found.instead}) == []


@given(
    st.sampled_from(sorted(DEFAULTS)),
    st.text(max_size=300) | st.sampled_from(HOOK["TAKEN_NAMES"].replace("_", "-").split()),
)
def test_whatever_is_given_the_suggestion_is_valid(answer: str, text: str) -> None:
    for problem in problems(**{answer: text}):
        assert problems(**{answer: problem.instead}) == [], problem


@pytest.mark.parametrize("release", RELEASES)
@given(st.data())
def test_what_a_release_took_is_taken(release: str, data: st.DataObject) -> None:
    old = hook(RELEASES[release])
    names = [name for name in DEFAULTS if name in old["ANSWERS_OF"]]
    text = st.text(max_size=120) | st.sampled_from(["", "toml", "arrow", " a ", "log-in"])
    answers = {**DEFAULTS, **{name: data.draw(text, label=name) for name in names}}
    bad = {problem.answer for problem in old["problems_of"](answers)}
    answers |= {name: DEFAULTS[name] for name in bad}
    if not old["problems_of"](answers):
        # Only what no project could have: characters that break its files, and template code.
        answers = {n: re.sub(f"[{HOOK['UNSEEN']}]|[{{]", " ", t) or t for n, t in answers.items()}
        assume(not old["problems_of"](answers))
        assert problems(**answers) == []


def test_text_that_cookiecutter_would_calculate_is_refused(tmp_path: Path) -> None:
    said = refuse(tmp_path, description="{{ 7*7 }}", team="a {# comment #} b")
    assert "description = '{{ 7*7 }}'" in said
    assert "cookiecutter and cruft take them for template code" in said
    assert "team = 'a {# comment #} b'" in said


def characters() -> st.SearchStrategy[str]:
    """Text with what breaks other templates more often than chance would bring it."""
    nasty = ['"', "'", "\\", ": #", "{{ 7*7 }}", "{% x %}", "$(x)", "`id`", "🚀", "👩‍🚀", "שלום",
             "é", "\u00a0", "%", "&", "<b>", "|", "- ", "? ", "*", "@", "---", "null", "\t",
             "'''", '"""', "]]>", "${{ x }}"]  # fmt: skip
    pieces = st.one_of(st.sampled_from(nasty), st.text(max_size=8))
    return st.lists(pieces, max_size=12).map("".join)


@settings(max_examples=60, deadline=None)
@given(name=characters(), team=characters(), description=characters() | st.text(max_size=300))
@example(name='It\'s "quoted"', team=r"C:\new\table", description="first line\nsecond line\n")
@example(name="a: b # c", team="'''\"\"\" it's", description="$(touch x) `id` \\")
@example(name="emoji 🚀 and שלום", team="'" * 100, description="- [ ] \u00a0 x" + "y" * 280)
@example(name="# heading", team="true", description="---\n%YAML 1.1\n---")
def test_text_arrives_unchanged_and_every_file_parses(
    name: str, team: str, description: str
) -> None:
    answers = {"project_name": name, "team": team, "description": description}
    bad = {problem.answer for problem in problems(**answers)}
    texts = {answer: text for answer, text in answers.items() if answer not in bad}
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        made = generate(Path(folder), project_slug="a-model", license="MIT", **texts)
        readme = (made / "README.md").read_text(encoding="utf-8")
        shown = {**DEFAULTS, "description": MODEL, **texts}
        title, paragraph = shown["project_name"].strip(), shown["description"].strip()
        paragraphs = [f"# {title}", *([paragraph] if paragraph else []), "Owned by "]
        assert readme.startswith("\n\n".join(paragraphs) + shown["team"].strip() + " (")
        licence = (made / "LICENSE").read_text(encoding="utf-8")
        assert licence.splitlines()[2] == f"Copyright (c) {shown['team'].strip()}"
        for file, content in files_of(made).items():
            if not file.endswith((".parquet", ".py")):  # Python carries no answers
                parse(file, content.decode("utf-8"))
        # cruft reads it with the encoding of the machine, which may be ASCII.
        assert (made / "pyproject.toml").read_bytes().isascii()
        owner = yaml.safe_load((made / "environments" / "prod.yml").read_text("utf-8"))["owner"]
        assert owner["team"] == shown["team"].strip()


MODEL = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["description"]


def test_what_was_typed_is_shown_and_not_the_default_that_it_replaced() -> None:
    (found,) = problems({"team": "Data Science"}, team="{{ 7*7 }}")
    assert found.value == "{{ 7*7 }}"


def test_a_sheet_that_was_changed_in_part_is_named() -> None:
    (found,) = problems(__package="another_model")
    assert (found.answer, found.instead) == ("__package", "churn_model")
    (found,) = problems(name_prefix="", project_slug="old-model")
    assert (found.answer, found.instead) == ("name_prefix", "oldmodel")


def test_a_subscription_needs_a_region() -> None:
    assert problems(azure_location="") == []
    (found,) = problems(
        azure_location="", azure_subscription_id="0" * 8 + "-1111" * 3 + "-" + "2" * 12
    )
    assert (found.answer, found.instead) == ("azure_location", "westeurope")


def test_an_empty_subscription_gives_local_workspaces(tmp_path: Path) -> None:
    made = generate(tmp_path, azure_subscription_id="")
    azure = yaml.safe_load((made / "environments" / "prod.yml").read_text())["azure"]
    assert (azure["subscription_id"], azure["tenant_id"]) == ("", "")


@pytest.mark.parametrize(
    ("name", "slug", "prefix"),
    [
        ("Customer Lifetime Value Regression of 2026", "customer-lifetime", "customerlif"),
        ("שלום", "shlvm", "shlvm"),
        ("🚀🚀", "model", "model"),
        ("3D Parts", "d-parts", "dparts"),
        ("A", "model", "model"),
        ("Log-in to Microsoft", "log-in-to-microsof", "logtomicros"),
    ],
)
def test_short_names_follow_from_the_long_one(
    name: str, slug: str, prefix: str, tmp_path: Path
) -> None:
    made = generate(tmp_path, project_name=name)
    azure = yaml.safe_load((made / "environments" / "prod.yml").read_text())["azure"]
    assert (made.name, azure["name_prefix"]) == (slug, prefix)


def test_no_package_that_a_project_needs_can_be_hidden() -> None:
    rule: Callable[[str], str] = HOOK["rule_of_slug"]
    constraints = TEMPLATE / "{{cookiecutter.project_slug}}" / "constraints.txt"
    for line in constraints.read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0].strip().lower().replace("_", "-").replace(".", "-")
        if line and not line.startswith("#"):
            # A name that is no slug for another reason is none either way.
            assert "would hide" in rule(name) or "write 3 to 18" in rule(name), name


def test_each_answer_has_a_sentence_and_each_choice_an_aligned_explanation() -> None:
    sheet = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    prompts = sheet["__prompts__"]
    assert set(prompts) == {name for name in sheet if not name.startswith("_")}
    for name, prompt in prompts.items():
        if isinstance(sheet[name], list):
            assert "?" in prompt["__prompt__"]
            assert set(prompt) - {"__prompt__"} == set(sheet[name])
            for value in sheet[name]:
                label, explanation = prompt[value][:25], prompt[value][25:]
                assert label.endswith(" ") and not explanation.startswith(" "), value
                assert len("    1 - " + prompt[value]) <= 80, value
        else:
            assert "?" in prompt, name
