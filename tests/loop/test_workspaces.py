"""`mlops workspaces`: what is missing is shown, made once, and left alone when it is there."""

from __future__ import annotations

import json
import shutil

from tests.matrix import SUBSCRIPTION

from .conftest import Loop


def test_a_plan_shows_what_is_missing_and_makes_nothing(fresh: Loop) -> None:
    plan = json.loads(fresh.run("workspaces", "plan", "--json").stdout)
    assert {state["environment"] for state in plan} == {"dev", "staging", "prod"}
    assert not any(state["satisfied"] for state in plan)
    check = fresh.run("workspaces", "check", status=1, PYTHONIOENCODING="utf-8")
    assert check.stdout.count("\N{BALLOT X}") == len(plan)
    assert "mlops workspaces apply --env staging" in check.stdout
    assert not (fresh.root / ".mlops").exists()


def test_a_terminal_without_the_signs_gets_words(fresh: Loop) -> None:
    check = fresh.run("workspaces", "check", status=1, PYTHONIOENCODING="ascii")
    assert "missing" in check.stdout


def test_what_only_a_person_can_mend_is_not_promised(trained: Loop) -> None:
    moved = trained.root.with_name("moved")
    shutil.rmtree(moved, ignore_errors=True)
    shutil.copytree(trained.root, moved)
    other = Loop(moved)
    plan = other.run("workspaces", "plan", "--env", "dev").stdout
    assert "! dev: experiment churn-model: this project was moved" in plan
    apply = other.run("workspaces", "apply", "--env", "dev", status=1)
    assert "this project was moved" in apply.stdout + apply.stderr


def test_what_was_applied_is_there_and_a_second_time_nothing_is_made(fresh: Loop) -> None:
    assert "made" in fresh.run("workspaces", "apply", "--env", "dev").stderr
    before = {path: path.stat().st_mtime_ns for path in fresh.workspace("dev").rglob("key")}
    again = fresh.run("workspaces", "apply", "--env", "dev")
    assert "nothing was missing" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in fresh.workspace("dev").rglob("key")}
    fresh.run("workspaces", "check", "--env", "dev")
    assert "nothing to do" in fresh.run("workspaces", "plan", "--env", "dev").stdout
    assert {state["environment"] for state in json.loads(
        fresh.run("workspaces", "plan", "--json").stdout
    )} == {"staging", "prod"}  # fmt: skip


def test_a_trained_project_lacks_only_what_a_training_does_not_make(trained: Loop) -> None:
    missing = json.loads(trained.run("workspaces", "plan", "--env", "dev", "--json").stdout)
    assert [state["what"].split()[0] for state in missing] in ([], ["online"])
    versions = trained.versions()
    trained.run("workspaces", "apply", "--env", "dev")
    assert trained.versions() == versions


def test_the_file_for_azures_sdk_follows_the_environment(fresh: Loop) -> None:
    fresh.edit("environments/dev.yml", 'subscription_id: ""', f'subscription_id: "{SUBSCRIPTION}"')
    assert "no findings" in fresh.run("check", "--env", "dev").stdout, "it is not there yet"
    fresh.run("workspaces", "apply", "--env", "dev", MLOPS_LOCAL="1")
    file = fresh.root / ".azureml" / "dev" / "config.json"
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "subscription_id": SUBSCRIPTION,
        "resource_group": "rg-churnmodel-dev",
        "workspace_name": "mlw-churnmodel-dev",
    }
    assert "no findings" in fresh.run("check", "--env", "dev").stdout
    fresh.edit("environments/dev.yml", "resource_group: rg-churnmodel-dev", "resource_group: rg-b")
    found = fresh.run("check", "--env", "dev", status=1)
    assert ".azureml/dev/config.json and environments/dev.yml name two workspaces" in found.stdout
