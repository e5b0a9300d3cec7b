"""`kill -9` in the middle of every command: nothing is half-written, and the next run finishes.

`Running.kill` also waits until no process that the command started is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import urllib.request

import pytest

from .conftest import Loop


def test_the_first_command_of_all_can_be_killed_while_it_makes_the_store(fresh: Loop) -> None:
    folder = fresh.workspace("dev")
    command = fresh.start("status", "--env", "dev")
    partial = folder / ".mlflow" / "mlflow.db"
    # Between the first and the last of MLflow's migrations.
    command.until(lambda: partial.is_file() and partial.stat().st_size > 200_000).kill()
    assert not (folder / "mlflow.db").exists()
    state = fresh.json("status", "--env", "dev")
    assert state[0]["versions"] == []
    assert not partial.parent.exists()


def test_a_training_killed_in_any_step_goes_on_from_there(fresh: Loop) -> None:
    steps = fresh.workspace("dev") / "steps"
    for step in ("prepare", "train"):
        fresh.start("train").until(f"{step} ...").kill()
        assert fresh.versions() == []
        assert not list(steps.glob(f"{step}-*"))
    # In the register step, as soon as it writes the model into the run.
    models = fresh.workspace("dev")
    command = fresh.start("train")
    command.until(lambda: list(models.glob("artifacts/*/artifacts/model/*"))).kill()
    assert fresh.versions() in ([], [1])
    assert len(fresh.json("status", "--env", "dev")[0]["versions"]) in (0, 1)
    last = fresh.run("train")
    for step in ("prepare", "train", "evaluate"):
        assert f"{step} reused" in last.stderr
    assert fresh.versions() == [1]
    assert fresh.champion("dev") == 1
    assert fresh.runs() == ["KILLED", "KILLED", "KILLED", "FINISHED"]
    assert not list(steps.glob(".partial-*"))


def test_a_killed_promotion_can_be_made_again(trained: Loop) -> None:
    trained.run("status", "--env", "staging")
    copies = trained.workspace("staging")
    command = trained.start("promote", "--from", "dev")
    command.until(lambda: list(copies.glob("artifacts/*/artifacts/*"))).kill()
    assert trained.versions("staging") in ([], [1])
    trained.run("status")
    assert trained.json("promote", "--from", "dev")["version"] == 1
    assert trained.versions("staging") == [1]
    assert sorted(trained.runs("staging")) in (["FINISHED"], ["FINISHED", "KILLED"])


def test_a_killed_deployment_and_first_rollout_can_be_made_again(trained: Loop) -> None:
    for seen in ("starting version-1", "testing version-1"):
        trained.start("deploy", "--env", "dev").until(seen).kill()
        assert trained.endpoint("dev").get("traffic", {}) == {}
        early = trained.run("rollout", "--env", "dev", status=3)
        assert "is not deployed and tested" in early.stderr
    trained.run("deploy", "--env", "dev")
    trained.start("rollout", "--env", "dev").until("version-1 gets 100 %").kill()
    shown = trained.json("status", "--env", "dev")[0]["endpoint"]["deployments"]
    assert [(d["name"], d["traffic"]) for d in shown] == [("version-1", 100)]
    again = trained.run("rollout", "--env", "dev", status=None)
    assert again.returncode == 0 or "has all the traffic" in again.stderr, again.stderr
    assert trained.champion("dev") == 1
    assert sorted(trained.endpoint("dev")["deployments"]) == ["version-1"]
    assert not list(trained.store("dev").glob(".version*"))


def test_a_killed_rollback_and_rollout_go_on_from_where_they_were(released: Loop) -> None:
    prod = ("--env", "prod")
    released.start("rollback", *prod).until("version-1 gets all the traffic").kill()
    again = released.run("rollback", *prod, status=None)
    assert again.returncode in (0, 3), "done now, or it was done already"
    assert released.endpoint("prod")["traffic"] == {"version-1": 100}
    assert released.champion("prod") == 1

    forward = ("rollout", *prod, "--version", "2")
    released.start(*forward).until("version-2 gets 50 %").kill()
    assert released.endpoint("prod")["traffic"] == {"version-2": 50, "version-1": 50}
    assert released.champion("prod") == 1, "not before it has passed"
    last = released.run(*forward)
    assert "gets 10 %" not in last.stderr, "it goes on from the stage that it had reached"
    assert released.endpoint("prod")["traffic"] == {"version-2": 100}
    assert released.endpoint("prod")["tags"] == {"previous_deployment": "version-1"}
    assert released.champion("prod") == 2
    released.run("rollback", *prod)


def test_a_killed_scoring_leaves_the_old_output_and_can_be_run_again(trained: Loop) -> None:
    (trained.root / "out.csv").write_text("precious")
    command = ("score", "--input", "data/sample.parquet", "--output", "out.csv")
    batch = trained.workspace("dev") / "batch"
    for seen in ("rows obey the contract", lambda: list(batch.glob("*/log.txt"))):
        trained.start(*command).until(seen).kill()
        assert (trained.root / "out.csv").read_text() == "precious"
    trained.run(*command)
    assert len((trained.root / "out.csv").read_text().splitlines()) == 570
    assert not list(trained.root.glob(".out.csv*"))


def test_trainings_at_once_wait_for_each_other_and_register_each_model_once(fresh: Loop) -> None:
    other = ("--set", "max_iterations=90")
    commands = [fresh.start("train"), fresh.start("train"), fresh.start("train", *other)]
    assert [command.end() for command in commands] == [0, 0, 0], [c.output() for c in commands]
    said = [command.output() for command in commands]
    assert sum("another mlops command is at work in dev: waiting" in text for text in said) >= 2
    assert fresh.versions() == [1, 2]
    assert fresh.runs() == ["FINISHED"] * 3
    assert fresh.tags(1)["model_digest"] != fresh.tags(2)["model_digest"]


def test_a_page_that_is_killed_or_interrupted_leaves_no_process(trained: Loop) -> None:
    command = trained.json("ui", "--env", "dev")["command"]
    assert command[1:4] == ["-m", "mlflow", "ui"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    page = trained.start("ui", "--env", "dev").until("Uvicorn running on")
    # The line comes before the page does.
    url = re.findall(r"http://127\.0\.0\.1:\d+", page.output())[0]
    title = b""

    def answers() -> bool:
        nonlocal title
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(url, timeout=60) as response,
        ):
            title = response.read()
        return bool(title)

    page.until(answers)
    assert b"<title>MLflow</title>" in title
    page.kill()


@pytest.mark.skipif(os.name != "posix", reason="there is no Ctrl-C to send")
def test_an_interrupted_training_says_so_and_leaves_nothing_running(trained: Loop) -> None:
    command = trained.start("train", "--no-cache").until("train ...")
    assert command.interrupt() == 130
    assert "interrupted; run the command again to go on" in command.output()
    assert "Traceback" not in command.output()
    assert trained.runs() == ["FINISHED", "KILLED"]
