"""Environments with an online endpoint, a batch endpoint or both: what they must say and can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops import promotion, release
from mlops.console import Console
from mlops.documents import InvalidFile
from mlops.errors import UsageError
from mlops.inference import score_table
from mlops.project import Environment, find_project
from mlops.settings import ENDPOINT_KINDS, AcceptanceSettings
from mlops.status import overview_of
from mlops.views import say_status
from mlops.workspaces import Workspace, open_workspace

from ..conftest import generated
from .builders import cut, edit, serve_only


def environment(project: Path, name: str = "prod") -> Environment:
    return find_project(project).environment(name)


def problem(project: Path) -> tuple[int, str]:
    """The line and the text of the one finding in prod's settings."""
    with pytest.raises(InvalidFile) as caught:
        environment(project)
    (finding,) = caught.value.findings
    assert finding.path.name == "prod.yml"
    return finding.line, finding.problem


def rewrite(project: Path, pattern: str, new: str) -> None:
    file = project / "environments" / "prod.yml"
    file.write_text(cut(pattern, new, file.read_text("utf-8")), "utf-8")


def line_of(project: Path, start: str) -> int:
    lines = (project / "environments" / "prod.yml").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(start))


def test_both_kinds_are_served_by_default() -> None:
    prod = environment(generated())
    named = {kind: prod.endpoint(kind) for kind in ENDPOINT_KINDS}
    assert named == prod.document.data["endpoints"]
    assert prod.rollout.stages == (10, 50, 100)


@pytest.mark.parametrize(("kind", "other"), [("online", "batch"), ("batch", "online")])
def test_one_kind_is_enough_and_the_other_is_refused_with_a_way_out(
    project: Path, kind: Any, other: Any
) -> None:
    prod = environment(serve_only(project, kind))
    assert prod.serves(kind)
    assert not prod.serves(other)
    assert prod.endpoint(kind) == prod.document.data["endpoints"][kind]
    with pytest.raises(UsageError) as caught:
        prod.endpoint(other)
    line = line_of(project, "endpoints:")
    start = f"{project / 'environments' / 'prod.yml'}:{line}: `prod` has no {other} endpoint"
    assert str(caught.value).startswith(start)
    assert {"online": "mlops invoke", "batch": "mlops score"}[kind] in str(caught.value)


def test_an_environment_without_an_endpoint_is_refused(project: Path) -> None:
    rewrite(project, r"(?m)^endpoints:\n(?:  .*\n)+", "endpoints: {}\n")
    line, said = problem(project)
    assert line == line_of(project, "endpoints:")
    assert "name an endpoint under `online`, `batch` or both" in said


@pytest.mark.parametrize("tests", ["tests: [gate, rollout]", ""], ids=["named", "by default"])
def test_a_rollout_without_an_online_endpoint_is_refused(project: Path, tests: str) -> None:
    serve_only(project, "batch")
    rewrite(project, r"(?m)^tests: .*\n", f"{tests}\n")
    line, said = problem(project)
    if tests:
        assert line == line_of(project, "tests:")
    assert "no rollout without an online endpoint" in said
    assert "`endpoints.online`, or write `tests: [gate]`" in said


def test_a_test_in_batches_without_a_batch_endpoint_is_refused(project: Path) -> None:
    serve_only(project, "online")
    rewrite(project, r"(?m)^tests: .*\n", "tests: [gate, batch, rollout]\n")
    line, said = problem(project)
    assert line == line_of(project, "tests:")
    assert "no test in batches without a batch endpoint" in said
    assert "name one under `endpoints.batch`, or remove `batch`" in said


def test_settings_of_an_older_release_have_the_defaults(project: Path) -> None:
    rewrite(project, r"(?m)^acceptance: .*\n", "")
    settings = environment(project).settings
    assert settings.acceptance == AcceptanceSettings(requests=100, clients=4, agreement=0.8)
    assert settings.champion_test == "rollout"


def test_an_online_endpoint_without_a_rollout_is_refused(project: Path) -> None:
    rewrite(project, r"(?m)^rollout:\n(?:  .*\n)+", "")
    _, said = problem(project)
    assert said.startswith("`rollout` is missing")
    assert "stages: [10, 50, 100], p95_ms: 500" in said


def test_the_setting_that_was_meant_is_named_in_an_optional_section(project: Path) -> None:
    edit(project / "environments" / "prod.yml", "requests_per_stage:", "request_per_stage:")
    line, said = problem(project)
    assert line == line_of(project, "  request_per_stage:")
    assert said.endswith("is not a setting; did you mean `requests_per_stage`?")


ACTS: dict[str, Callable[[Workspace], Any]] = {
    "deploy": lambda workspace: release.deploy(workspace, report=print),
    "rollout": lambda workspace: release.rollout(workspace, report=print),
    "rollback": lambda workspace: release.rollback(workspace, report=print),
    "serve": lambda workspace: workspace.serve(0, print),
    "invoke": lambda workspace: workspace.invoke(b"{}"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_every_act_on_an_online_endpoint_is_refused_where_there_is_none(
    project: Path, act: Callable[[Workspace], Any]
) -> None:
    workspace = open_workspace(find_project(serve_only(project, "batch")), "prod")
    with pytest.raises(UsageError, match="`prod` has no online endpoint"):
        act(workspace)


def test_scoring_is_refused_where_there_is_no_batch_endpoint(project: Path) -> None:
    workspace = open_workspace(find_project(serve_only(project, "online")), "prod")
    table = project / "data" / "sample.parquet"
    with pytest.raises(UsageError, match="`prod` has no batch endpoint"):
        score_table(workspace, table, project / "out.csv", None, report=print)


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("online", ["mlops deploy --env dev", "mlops deploy --env staging"]),
        ("batch", [
            "mlops promote --from dev",
            "mlops test --env staging",
        ]),
    ],
)  # fmt: skip
def test_the_command_after_a_promotion_is_one_that_the_environment_has(
    project: Path, kind: str, commands: list[str]
) -> None:
    found = find_project(serve_only(project, kind))
    environments = [found.environment(name) for name in ("dev", "staging")]
    assert [promotion.next_command(found, each) for each in environments] == commands


@pytest.mark.parametrize("kind", ["online", "batch"])
def test_status_has_traffic_only_where_something_is_served_online(
    project: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find_project(serve_only(project, kind))
    states = [overview_of(open_workspace(found, name)).state for name in found.environments]
    assert all((state["endpoint"] is None) == (kind == "batch") for state in states)
    say_status(Console(), states)
    head, *rows = capsys.readouterr().out.splitlines()
    assert ("traffic" in head) == (kind == "online")
    assert [row.split()[0] for row in rows[:3]] == found.environments
