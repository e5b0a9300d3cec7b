"""Alarms as issues and work items: `gh` and `az` are doubles on the PATH that record their calls."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops import tickets
from mlops.alarms import Action, clean, follow_up, read_alarms, written
from mlops.decisions import Check, Decision, now
from mlops.errors import MlopsError, UsageError
from mlops.monitoring.alarm import Alarm, alarm_of, silence_of
from mlops.project import find_project
from mlops.tickets import AzureBoards, Board, GitHubIssues, Ticket, board_of
from mlops.workspaces import ModelVersion
from tests.conftest import generated

PREFIX = "churn-model/prod/"

# Both doubles keep their issues in a file, as the platform would; `refuse` holds what they refuse.
DOUBLE = """#!{python}
import json, os, sys
from pathlib import Path
folder = Path(os.environ["DOUBLE"])
arguments = sys.argv[1:]
texts = {{}}
for i, argument in enumerate(arguments):
    if argument.startswith("@"):
        text = Path(argument[1:]).read_text("utf-8")
        arguments[i] = text[:-1] if text.endswith("\\n") else text
option = lambda name: next((arguments[i + 1] for i, a in enumerate(arguments) if a == name),
    next((a.partition("=")[2] for a in arguments if a.startswith(name + "=")), None))
stdin = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8")
with (folder / "calls").open("a", encoding="utf-8") as stream:
    stream.write(json.dumps([Path(sys.argv[0]).name, arguments, stdin]) + "\\n")
for line in (folder / "refuse").read_text("utf-8").splitlines():
    part, _, said = line.partition(" => ")
    if part in " ".join(arguments):
        print(said, file=sys.stderr)
        raise SystemExit(1)
file = folder / "issues.json"
issues = json.loads(file.read_text("utf-8"))
def save(): file.write_text(json.dumps(issues), "utf-8")
def find(number): return next(i for i in issues if i["number"] == int(number))
command = " ".join(arguments[:2] if arguments[0] != "boards" else arguments[1:3])
if command == "issue list":
    found = [i for i in issues if i["open"]][::-1]
    print(json.dumps([{{k: i[k] for k in ("number", "title", "body")}} for i in found]))
elif command == "issue create":
    issues.append({{"number": len(issues) + 1, "title": option("--title"), "body": stdin.replace("\\n", "\\r\\n"),
                   "open": True, "comments": []}})
    save()
    print(f"https://github.com/someone/churn/issues/{{len(issues)}}")
elif command == "issue comment":
    find(arguments[2])["comments"].append(stdin); save()
elif command == "issue edit":
    find(arguments[2])["body"] = stdin; save()
elif command == "issue close":
    find(arguments[2])["open"] = False; save()
elif command == "label create":
    pass
elif command == "query --wiql":
    fields = lambda i: {{"System.Id": i["number"], "System.Title": i["title"], "System.Description": i["body"]}}
    print(json.dumps([{{"id": i["number"], "fields": fields(i)}} for i in issues if i["open"]]))
elif command == "work-item create":
    issues.append({{"number": len(issues) + 1, "title": option("--title"), "body": option("--description"),
                   "open": True, "comments": []}})
    save()
    print(json.dumps({{"id": len(issues)}}))
elif command == "work-item update":
    issue = find(option("--id"))
    issue["comments"].append(option("--discussion"))
    if option("--description") is not None: issue["body"] = option("--description")
    if option("--state"): issue["open"] = False
    save()
    print("{{}}")
else:
    raise SystemExit(f"unknown: {{command}}")
"""


class Platform:
    """One of the doubles, and what it was told."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board, self.folder = board, folder

    def follow(self, *alarms: Alarm) -> list[str]:
        return [action.done for action in follow_up(self.board, alarms, PREFIX)]

    @property
    def issues(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "issues.json").read_text("utf-8"))
        return found

    @property
    def calls(self) -> list[list[Any]]:
        lines = (self.folder / "calls").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def refuse(self, part: str, said: str) -> None:
        (self.folder / "refuse").write_text(f"{part} => {said}\n", "utf-8")


@pytest.fixture(params=["github", "azure-devops"])
def platform(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    for name in ("gh", "az"):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(DOUBLE.format(python=sys.executable), "utf-8")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    for name, text in (("issues.json", "[]"), ("refuse", ""), ("calls", "")):
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("DOUBLE", str(tmp_path))
    for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT"):
        monkeypatch.delenv(name, raising=False)
    return Platform(board_of(request.param, tmp_path), tmp_path)


def alarm(signal: str = "data_drift", state: str = "1", **settings: Any) -> Alarm:
    base = {"key": PREFIX + signal, "title": f"prod: {signal}", "body": "1 check failed"}
    return Alarm.model_validate({**base, "state": state, **settings})


def test_an_alarm_opens_one_ticket_and_the_next_run_finds_it(platform: Platform) -> None:
    assert platform.follow(alarm()) == ["opened"]
    assert platform.follow(alarm()) == ["unchanged"]
    (issue,) = platform.issues
    assert issue["title"] == "prod: data_drift"
    assert "1 check failed" in issue["body"]
    assert issue["comments"] == []


def test_news_are_a_comment_and_the_same_news_are_not_told_twice(platform: Platform) -> None:
    platform.follow(alarm())
    assert platform.follow(alarm(state="2", body="2 checks failed")) == ["updated"]
    assert platform.follow(alarm(state="2", body="2 checks failed, later")) == ["unchanged"]
    (issue,) = platform.issues
    assert ["2 checks failed" in comment for comment in issue["comments"]] == [True]
    assert "2 checks failed" in issue["body"]


def test_without_a_state_another_body_is_news(platform: Platform) -> None:
    platform.follow(alarm(state=""))
    assert platform.follow(alarm(state="")) == ["unchanged"]
    assert platform.follow(alarm(state="", body="other")) == ["updated"]


def test_an_alarm_that_ended_closes_its_ticket_and_may_come_again(platform: Platform) -> None:
    platform.follow(alarm(), alarm("endpoint"))
    assert platform.follow(alarm("endpoint")) == ["unchanged", "closed"]
    drift, endpoint = platform.issues
    assert (drift["open"], endpoint["open"]) == (False, True)
    assert "has ended" in drift["comments"][-1]
    assert platform.follow(alarm(), alarm("endpoint")) == ["opened", "unchanged"]
    assert len(platform.issues) == 3


def test_tickets_of_others_are_left_alone(platform: Platform) -> None:
    platform.follow(alarm(key="churn-model/staging/data_drift"), alarm(key="other/prod/data_drift"))
    platform.board.create("written by hand", "no mark", "none")
    assert platform.follow() == []
    assert all(issue["open"] for issue in platform.issues)


def test_a_ticket_that_stands_twice_is_told_once_and_closed_twice(platform: Platform) -> None:
    platform.follow(alarm())
    mark = f"mlops-alarm: {written(alarm().key)} 0123"
    platform.board.create("again", "", mark)
    platform.follow(alarm(state="2"))
    assert [len(issue["comments"]) for issue in platform.issues] == [1, 0]
    assert platform.follow() == ["closed", "closed"]


@pytest.mark.parametrize(
    "title", ["@/etc/passwd", "--web", "-x", "$(touch x); `touch y`", "ü 日本\n2", ""]
)
def test_a_title_is_only_a_title(platform: Platform, title: str) -> None:
    platform.follow(alarm(title=title))
    (issue,) = platform.issues
    assert issue["title"] == (" ".join(title.split()) or alarm().key)
    assert platform.follow(alarm(title=title)) == ["unchanged"]


def test_texts_of_others_are_never_arguments(platform: Platform) -> None:
    """On GitHub they come by standard input; `az` reads them from files."""
    platform.follow(alarm(body="secret words"))
    platform.follow(alarm(body="secret words", state="2"))
    for program, arguments, stdin in platform.calls:
        if program == "gh":
            assert "secret words" not in " ".join(arguments)
            assert ("--body-file" in arguments) == ("secret words" in stdin)


def test_the_label_is_made_where_an_issue_is(platform: Platform) -> None:
    platform.follow(alarm())
    if isinstance(platform.board, GitHubIssues):
        labels = [call[1] for call in platform.calls if call[1][0] == "label"]
        assert [label[:4] for label in labels] == [["label", "create", "monitoring", "--force"]]
    else:
        (call,) = [call[1] for call in platform.calls if "create" in call[1]]
        assert "System.Tags=monitoring" in call


GITHUB_REFUSALS = [
    ("issue list", "the 'someone/churn' repository has disabled issues", "gh repo edit"),
    (
        "issue create",
        "GraphQL: Resource not accessible by integration (createIssue)",
        "issues: write",
    ),
    ("issue list", "To get started with GitHub CLI, please run:  gh auth login", "gh auth login"),
    (
        "issue list",
        "gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN",
        "GH_TOKEN",
    ),
    ("issue list", "fatal: not a git repository (or any of the parent directories)", "GH_REPO"),
    ("issue list", "HTTP 502: Bad Gateway", "HTTP 502"),
]
AZURE_REFUSALS = [
    ("query", "ERROR: 'boards' is misspelled or not recognized by the system.", "az extension add"),
    ("query", "ERROR: Before you can run Azure DevOps commands, you need to run the login "
     "command (az login if using AAD/MSA identity else az devops login if using PAT token)",
     "AZURE_DEVOPS_EXT_PAT"),
    ("query", "ERROR: --organization must be specified.", "az devops configure"),
    ("create", "ERROR: TF401027: You need the Edit work items permission", "right to edit"),
    ("query", "ERROR: 503", "503"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(6))
def test_a_refusal_says_what_to_do(platform: Platform, case: int) -> None:
    refusals = GITHUB_REFUSALS if isinstance(platform.board, GitHubIssues) else AZURE_REFUSALS
    part, said, remedy = refusals[case % len(refusals)]
    platform.refuse(part, said)
    with pytest.raises(MlopsError) as raised:
        platform.follow(alarm())
    assert said.splitlines()[0] in str(raised.value)
    assert remedy in str(raised.value)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for board, tool in ((GitHubIssues(tmp_path), "gh"), (AzureBoards(tmp_path), "az")):
        with pytest.raises(UsageError, match=f"`{tool}`, is not installed"):
            board.tickets()


@pytest.mark.parametrize("platform", ["azure-devops"], indirect=True)
def test_a_process_without_issues_gets_a_task_and_its_own_last_state(platform: Platform) -> None:
    platform.refuse(
        "--type Issue", "VS402323: Work item type Issue does not exist in project churn"
    )
    assert platform.follow(alarm()) == ["opened"]
    assert "Task" in platform.calls[-1][1]
    platform.refuse("--state Done", "TF401320: The field 'State' contains the value 'Done'")
    assert platform.follow() == ["closed"]
    assert "Closed" in platform.calls[-1][1]


@pytest.mark.parametrize("platform", ["azure-devops"], indirect=True)
def test_in_a_pipeline_the_project_is_that_of_the_run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEM_COLLECTIONURI", "https://dev.azure.com/someone/")
    monkeypatch.setenv("SYSTEM_TEAMPROJECT", "Someone's models")
    platform.board = AzureBoards(platform.folder)
    platform.follow(alarm())
    query, create = (call[1] for call in platform.calls)
    assert "[System.TeamProject] = 'Someone''s models'" in query[3]
    for arguments in (query, create):
        assert arguments[arguments.index("--organization") + 1] == "https://dev.azure.com/someone/"
        assert arguments[arguments.index("--project") + 1] == "Someone's models"


def test_the_input_is_the_list_that_the_monitor_publishes() -> None:
    assert read_alarms(json.dumps([alarm().model_dump()])) == [alarm()]
    assert read_alarms('[{"key": "k", "title": "t", "body": "b", "retrain": false}]')[0].state == ""
    for text in ("", "{}", "[1]", '[{"key": "k"}]'):
        with pytest.raises(UsageError, match="is not the list of alarms"):
            read_alarms(text)


class Shelf:
    """A board in memory that keeps texts as GitHub or Azure DevOps do."""

    def __init__(self, platform: str) -> None:
        self.issues: dict[int, str] = {}
        self._write = tickets._hidden if platform == "github" else tickets._visible
        self._line = tickets._first_line if platform == "github" else tickets._last_line

    def tickets(self) -> list[Ticket]:
        found = [(n, tickets._mark_in(self._line(body))) for n, body in self.issues.items()]
        return [Ticket(number, *mark) for number, mark in found if mark]

    def create(self, title: str, body: str, mark: str) -> int:
        for text in (title, body, mark):
            text.encode("utf-8")
            assert "\0" not in text
        assert title == title.strip() != ""
        assert "\n" not in title
        self.issues[len(self.issues) + 1] = self._write(mark, body).replace("\n", "\r\n")
        return len(self.issues)

    def update(self, number: int, body: str, mark: str) -> None:
        self.issues[number] = self._write(mark, body)

    def close(self, number: int, comment: str) -> None:
        del self.issues[number]


def test_a_ticket_stays_while_nothing_can_be_said_of_the_same_version() -> None:
    environment: Any = find_project(generated()).environment("prod")

    def version(number: int) -> ModelVersion:
        return ModelVersion("m", number, "prod", "run", now(), {"origin": f"dev/{number}"})

    def breached(number: int, rule: str) -> Alarm:
        check = Check(rule=rule, value=0.3, limit=0.1, passed=False)
        found = Decision(
            kind="monitor", environment="prod", model="m", version=number, checks=(check,),
            facts={"signal": "data_drift"}, time=now(),
        )  # fmt: skip
        return alarm_of(environment, version(number), found)

    shelf = Shelf("github")

    def follow(*alarms: Alarm) -> list[str]:
        return [action.done for action in follow_up(shelf, alarms, PREFIX)]

    silence = silence_of(environment, version(1), "data_drift")
    assert follow(silence) == [], "silence opens nothing"
    assert follow(breached(1, "x")) == ["opened"]
    assert follow(silence) == ["unchanged"]
    assert follow(breached(1, "x")) == ["unchanged"]
    assert follow(breached(1, "y")) == ["updated"]
    assert follow(silence_of(environment, version(2), "data_drift")) == ["closed"]
    assert follow(breached(2, "x")) == ["opened"]
    assert follow() == ["closed"]


@pytest.mark.parametrize("platform", ["github", "azure"])
def test_the_monitor_and_the_retraining_do_not_close_each_others_tickets(platform: str) -> None:
    shelf, drift, refused = Shelf(platform), alarm(), alarm("retraining")

    def follow(*alarms: Alarm, of_retraining: bool) -> list[str]:
        done = follow_up(shelf, alarms, PREFIX, of_retraining=of_retraining)
        return [f"{action.done} {action.key.removeprefix(PREFIX)}" for action in done]

    assert follow(drift, of_retraining=False) == ["opened data_drift"]
    assert follow(refused, of_retraining=True) == ["opened retraining"]
    assert follow(refused, of_retraining=True) == ["unchanged retraining"]
    assert follow(of_retraining=False) == ["closed data_drift"]
    assert follow(of_retraining=True) == ["closed retraining"]
    with pytest.raises(UsageError, match="write --of retrain"):
        follow(refused, of_retraining=False)
    with pytest.raises(UsageError, match="an alarm of `mlops monitor`"):
        follow(drift, of_retraining=True)


# Also halves of characters, which JSON can hold and UTF-8 cannot.
TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    [
        "<!-- mlops-alarm: other/prod/x 1 -->",
        "</pre><p>mlops-alarm: a 1</p>",
        "-->",
        "a--b",
        " ",
        "\0",
    ]
)


@pytest.mark.parametrize("platform", ["github", "azure"])
@given(key=TEXT, title=TEXT, body=TEXT)
def test_a_ticket_is_found_again_whatever_its_texts_are(
    platform: str, key: str, title: str, body: str
) -> None:
    shelf, one = Shelf(platform), alarm(key=PREFIX + key, title=title, body=body, state="")
    for expected in ("opened", "unchanged"):
        (action,) = follow_up(shelf, [one], PREFIX)
        assert action == Action(expected, one.key, 1)  # type: ignore[arg-type]
    (action,) = follow_up(shelf, [], PREFIX)
    assert action.done == "closed"
    assert shelf.issues == {}


@given(TEXT, TEXT)
def test_two_keys_are_written_the_same_only_if_they_are(one: str, other: str) -> None:
    assert (written(one) == written(other)) == ((clean(one) or "-") == (clean(other) or "-"))
    assert "--" not in written(one)
    assert written(one).split() == [written(one)]
