"""What `mlops connect` reads and writes as text: CODEOWNERS, environments' files, shell commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.cicd import code_owners
from mlops.cicd.federation import Federation, edit_of, with_federation
from mlops.cicd.plan import Command
from mlops.errors import MlopsError, UsageError, redact
from tests.conftest import generated

NEW = Federation("https://issuer.example", "repo:a@1/b@2:environment:dev")
VALUE = {"issuer": NEW.issuer, "subject": NEW.subject}

LINE = "  federation: " + NEW.show()
EDITS = {
    "a block": ("a: 1\nci_cd:\n  environment: dev  # why\n\n# next\nb: 2\n",
                f"a: 1\nci_cd:\n  environment: dev  # why\n{LINE}\n\n# next\nb: 2\n"),
    "at the end, without a line break": ("ci_cd:\n  environment: dev", f"ci_cd:\n  environment: dev\n{LINE}\n"),
    "in braces": ("ci_cd: {environment: dev}  # why\nb: 2\n",
                  f"ci_cd: {{environment: dev, federation: {NEW.show()}}}  # why\nb: 2\n"),
    "in its place": (
        'ci_cd:\n  environment: dev\n  federation: {issuer: "https://x", subject: y}  # k\nb: 2\n',
        f"ci_cd:\n  environment: dev\n  federation: {NEW.show()}  # k\nb: 2\n"),
    "in its place, as a block": (
        "ci_cd:\n  federation:\n    subject: y  # s\n    issuer: https://x\n  environment: dev\n",
        f"ci_cd:\n  federation:\n    subject: {json.dumps(NEW.subject)}  # s\n"
        f"    issuer: {json.dumps(NEW.issuer)}\n  environment: dev\n"),
    "where it is empty": ("ci_cd:\n  federation:\n  environment: dev\n",
                          f"ci_cd:\n{LINE}\n  environment: dev\n"),
    "where it is null": ("ci_cd:\n  federation: null  # later\n  environment: dev\n",
                         f"ci_cd:\n{LINE}  # later\n  environment: dev\n"),
    "where there is no section": ("a: 1\n", f'a: 1\n\nci_cd:\n  environment: "dev"\n{LINE}\n'),
    "behind the mark of an encoding": (
        "\ufeffci_cd:\n  environment: dev\n",
        f"\ufeffci_cd:\n  environment: dev\n{LINE}\n",
    ),
    "with the line breaks of Windows": ("ci_cd:\r\n  environment: dev\r\nb: 2\r\n",
                                        f"ci_cd:\r\n  environment: dev\r\n{LINE}\r\nb: 2\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_the_federation_is_written_and_all_else_stays(edit: tuple[str, str]) -> None:
    before, after = edit
    assert with_federation(before, "dev", NEW) == after
    assert with_federation(after, "dev", NEW) == after, "again, nothing changes"


@pytest.mark.parametrize("text", ["- a list\n", "ci_cd: dev\n", "ci_cd: &x {environment: dev}\nb: *x\n",
                                  "a: [\n"])  # fmt: skip
def test_what_cannot_be_edited_safely_is_left(text: str) -> None:
    with pytest.raises(MlopsError, match="write under `ci_cd` yourself"):
        with_federation(text, "dev", NEW, "environments/dev.yml")


def test_an_edited_file_must_still_be_one_of_an_environment() -> None:
    from mlops.project import find_project

    project = find_project(generated())
    environment = project.environment("dev")
    text = environment.document.path.read_text("utf-8")
    edit = edit_of(project, environment, Federation("$ISSUER_DEV", "$SUBJECT_DEV"))
    with pytest.raises(UsageError, match="issuer"):
        edit.change(text, {"ISSUER_DEV": "not an address", "SUBJECT_DEV": "x"})
    edited = edit.change(text, {"ISSUER_DEV": "https://issuer.example", "SUBJECT_DEV": "x"})
    assert '{issuer: "https://issuer.example", subject: "x"}' in edited


ENVIRONMENTS = [
    generated(ci_cd=platform) / "environments" / f"{name}.yml"
    for platform in ("github-actions", "azure-devops", "none")
    for name in ("dev", "prod")
]
COMMENT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
SUBJECT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    file=st.sampled_from(ENVIRONMENTS), windows=st.booleans(), comment=COMMENT, subject=SUBJECT,
    line=st.integers(8, 60),  # below the team's name, in which a comment is no comment
    end=st.sampled_from(["", "\n", "\n\n# end\n"]),
)  # fmt: skip
def test_nothing_but_the_federation_changes(
    file: Path, windows: bool, comment: str, subject: str, line: int, end: str
) -> None:
    lines = file.read_text("utf-8").rstrip("\n").split("\n")
    lines.insert(min(line, len(lines)), f"# {comment}")
    text = "\n".join(lines) + end
    text = text.replace("\n", "\r\n") if windows else text
    federation = Federation("https://issuer.example", subject)
    edited = with_federation(text, "dev", federation)
    assert yaml.safe_load(edited)["ci_cd"]["federation"]["subject"] == subject
    added = edited.split("federation: ", 1)[1].split("}", 1)[0]
    assert edited.count("federation: ") == 1 and "issuer" in added
    kept = iter(edited)
    assert all(letter in kept for letter in text), "all letters stay, in their order"
    again = with_federation(edited, "dev", federation)
    assert again == edited


OWNERS = """
# the last line that fits counts
*                @org/all
/data/           @org/data   # what is trained on
docs/            @org/docs
*.bicep          @org/infra
/environments/   @org/ml
/environments/prod.yml @org/ml person@example.com
/src/**/secret.py @org/security
/apps/*          @org/apps
/nobody/
/with\\ space/    @org/space
"""


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("README.md", ["@org/all"]),
        ("data/a/b.csv", ["@org/data"]),
        ("src/data/a.csv", ["@org/all"]),
        ("a/docs/b.md", ["@org/docs"]),
        ("infrastructure/main.bicep", ["@org/infra"]),
        ("environments/dev.yml", ["@org/ml"]),
        ("environments/prod.yml", ["@org/ml", "person@example.com"]),
        ("src/secret.py", ["@org/security"]),
        ("src/a/b/secret.py", ["@org/security"]),
        ("apps/a.py", ["@org/apps"]),
        ("apps/a/b.py", ["@org/all"]),
        ("nobody/a.py", []),
        ("with space/a", ["@org/space"]),
    ],
)
def test_the_last_line_that_fits_says_who_owns_a_file(path: str, owners: list[str]) -> None:
    assert list(code_owners.parse(OWNERS).of(path)) == owners


WORD = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=12
)


@settings(max_examples=30, deadline=None)
@given(word=WORD, late=st.booleans(), value=st.sampled_from(["x", "a b", "$HOME", "`id`", '"']))
def test_a_printed_command_means_in_a_shell_what_a_run_means(
    word: str, late: bool, value: str
) -> None:
    from mlops.cicd.plan import PLACEHOLDER, filled

    word = PLACEHOLDER.sub("", word).replace("\r", "")
    given_ = word + "$CLIENT_ID_DEV" if late else word
    shown = Command("printf", ("%s", given_)).show()
    script = f"CLIENT_ID_DEV='{value}'\n{shown}"
    said = subprocess.run(["bash", "-c", script], capture_output=True).stdout.decode()
    assert said == filled(given_, {"CLIENT_ID_DEV": value})


def test_a_printed_body_means_in_a_shell_what_a_run_means() -> None:
    body: dict[str, Any] = {"a": 'quote " back\\slash `id` $(id) $home', "b": "$CLIENT_ID_DEV"}
    for content in (body, {"a": body["a"]}):
        shown = Command("cat", (), content).show()
        script = f"CLIENT_ID_DEV=late\n{shown}"
        said = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout
        late = {"b": "late"} if "b" in content else {}
        assert json.loads(said) == {**content, **late}


def test_what_is_printed_of_a_refusal_signs_nobody_in() -> None:
    from mlops.tools import ToolRefused

    bearer = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijklmnop"
    refused = ToolRefused("gh api", 1, f"refused: {bearer}", bearer)
    assert bearer not in str(refused) and bearer not in refused.stdout
    assert refused.stderr == redact(f"refused: {bearer}")
