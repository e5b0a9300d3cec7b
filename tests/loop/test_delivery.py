"""`mlops release` and `mlops test`: a version goes through the environments, whatever happens."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import SCRATCH, copy_of, generated

from .conftest import Loop, eventually

LIMITS = 'limits: dict[str, Any] = {"ge": column.minimum, "le": column.maximum}'
ANSWER = "answer = served.predict(table[list(contract.features)]).reset_index(drop=True)"


@contextmanager
def project_with(**answers: str) -> Iterator[Loop]:
    """A project with other answers, in which nothing was run yet."""
    folder = SCRATCH / "deliveries" / uuid.uuid4().hex
    loop = Loop(copy_of(generated(**answers), folder))
    yield loop
    loop.end()
    shutil.rmtree(folder)


def said_to_platform(loop: Loop, *arguments: str, status: int = 0) -> tuple[dict[str, str], str]:
    """The outputs and the summary of a command, as GitHub reads them."""
    folder = SCRATCH / "platform" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    output, summary = folder / "output", folder / "summary"
    loop.run(*arguments, status=status, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary))
    lines = output.read_text().splitlines() if output.exists() else []
    return dict(line.split("=", 1) for line in lines), summary.read_text()


def test_a_release_goes_through_all_environments_and_hands_over_to_the_next_job(
    fresh: Loop,
) -> None:
    outputs, summary = said_to_platform(fresh, "train")
    digest = fresh.tags(1)["model_digest"]
    assert outputs == {"version": "dev/1", "digest": digest, "registered": "true"}
    assert summary.startswith("## gate in dev: accepted version 1\n\n|  | check | value |")
    assert "# churn-model: accepted in dev as version 1" in summary
    assert "## Lineage" in summary and "plots/" not in summary
    outputs, _ = said_to_platform(fresh, "train")
    assert outputs == {"version": "dev/1", "digest": digest, "registered": "false"}

    outputs, summary = said_to_platform(
        fresh, "release", "--env", "dev", "--version", "dev/1", "--digest", digest
    )
    later = [{"name": name, "environment": name} for name in ("staging", "prod")]
    assert (outputs["version"], outputs["digest"]) == ("dev/1", digest)
    assert json.loads(outputs["environments"]) == later
    assert "nothing to do in dev: dev/1, its churn-model version 1" in summary
    assert fresh.endpoint("dev") == {}

    for name, after in (("staging", later[1:]), ("prod", [])):
        command = ("release", "--env", name, "--version", "dev/1", "--digest", digest)
        outputs, summary = said_to_platform(fresh, *command)
        assert json.loads(outputs["environments"]) == after
        kinds = ["promotion", "smoke-test", "acceptance-test", "rollout"]
        assert [line for line in summary.splitlines() if line.startswith("## ")] == [
            f"## {kind} in {name}: accepted version 1" for kind in kinds
        ]
        assert fresh.endpoint(name)["traffic"] == {"version-1": 100}
        assert fresh.champion(name) == 1
    state = fresh.endpoint("prod")
    again = fresh.json("release", "--env", "prod", "--version", "dev/1")
    assert (again["version"], again["number"], again["decisions"]) == ("dev/1", 1, [])
    assert fresh.endpoint("prod") == state

    wrong, summary = said_to_platform(
        fresh, "release", "--env", "prod", "--version", "dev/1", "--digest", "0" * 64, status=3
    )
    assert wrong == {}
    assert summary.startswith("## Refused\n\n    $ mlops release --env prod --version dev/1 ")
    assert "    dev/1 is not what was to be released" in summary


def test_a_release_that_was_killed_anywhere_goes_on(trained: Loop) -> None:
    command = ("release", "--env", "staging", "--version", "dev/1")
    trained.run("status", "--env", "staging")
    copies = trained.workspace("staging")
    running = trained.start(*command)
    running.until(lambda: list(copies.glob("artifacts/*/artifacts/model/*"))).kill()
    for seen in ("starting version-1", "testing version-1", "gets 100 % of the traffic"):
        trained.start(*command).until(seen).kill()
        assert trained.champion("staging") is None
        early = trained.run("release", "--env", "prod", "--version", "dev/1", status=3)
        assert "rollout in staging: not done" in early.stderr
    done = trained.run(*command)
    assert "dev/1 is churn-model version 1 of staging already" in done.stderr
    assert "starting" not in done.stderr, "it was deployed and tested"
    assert trained.champion("staging") == 1
    assert trained.versions("staging") == [1]
    assert len(trained.decisions("staging", "promotion")) == 1
    assert "nothing to do" in trained.run(*command).stdout


def test_a_failed_acceptance_test_leaves_the_old_version_and_the_later_environments(
    released: Loop,
) -> None:
    states = {name: released.endpoint(name) for name in ("staging", "prod")}
    # This version's code lets values pass that the contract refuses.
    released.edit("src/mlops/scoring/requests.py", LIMITS, "limits: dict[str, Any] = {}")
    assert released.json("train")["decision"]["version"] == 3
    for _ in range(2):
        _, summary = said_to_platform(
            released, "release", "--env", "staging", "--version", "dev/3", status=1
        )
        assert "version-3 failed its acceptance test and was removed" in summary
        assert "FAILED  refuses a value out of range: 0, at least " in summary
        assert released.endpoint("staging") == states["staging"]
        assert released.champion("staging") == 2
        assert released.decisions("staging", "acceptance-test")[-1]["accepted"] is False
    stopped = released.run("release", "--env", "prod", "--version", "dev/3", status=3)
    assert "FAILED  rollout in staging: not done" in stopped.stderr
    assert released.endpoint("prod") == states["prod"]
    assert released.versions("prod") == [1, 2]


def test_a_newer_version_and_one_that_was_rolled_back_are_respected(released: Loop) -> None:
    state = released.endpoint("prod")
    older = released.run("release", "--env", "prod", "--version", "dev/1", status=3)
    assert "prod serves dev/2 already, which was trained after dev/1" in older.stderr
    assert "to go back: mlops rollback --env prod" in older.stderr
    assert released.endpoint("prod") == state

    live = released.run("test", "--env", "prod")
    assert "passed  answers as version-1: " in live.stdout, "the one that is kept to go back to"
    assert released.endpoint("prod") == state
    assert released.decisions("prod", "acceptance-test")[-1]["facts"] == {
        "deployment": "version-2", "compared_with": "version-1",
    }  # fmt: skip
    released.edit("environments/prod.yml", "p95_ms: 500", "p95_ms: 0.01")
    slow = released.run("test", "--env", "prod", status=1)
    assert "version-2 failed its smoke test" in slow.stderr
    assert released.endpoint("prod") == state
    released.edit("environments/prod.yml", "p95_ms: 0.01", "p95_ms: 500")

    released.run("rollback", "--env", "prod")
    back = released.run("release", "--env", "prod", "--version", "dev/2", status=3)
    assert "the rollout of dev/2 in prod was: rolled back" in back.stderr
    assert "nothing to do" in released.run("release", "--env", "prod", "--version", "dev/1").stdout
    assert released.endpoint("prod")["traffic"] == {"version-1": 100}


def test_the_first_of_two_environments_is_rolled_out_as_well() -> None:
    with project_with(environments="dev-prod") as loop:
        loop.run("train")
        refused = loop.run("release", "--env", "prod", "--version", "dev/1", status=3)
        assert "rollout in dev: not done" in refused.stderr
        loop.run("release", "--env", "dev", "--version", "dev/1")
        assert loop.endpoint("dev")["traffic"] == {"version-1": 100}
        loop.run("release", "--env", "prod")
        assert loop.endpoint("prod")["traffic"] == {"version-1": 100}
        assert loop.champion("prod") == 1


def test_with_batch_endpoints_a_version_scores_before_it_becomes_the_champion() -> None:
    with project_with(serving="batch") as loop:
        loop.run("train")
        loop.run("release", "--env", "staging", "--version", "dev/1")
        running = loop.start("release", "--env", "prod", "--version", "dev/1")
        running.until("scores the held-out rows").kill()
        eventually(lambda: not loop.processes())
        assert loop.champion("prod") is None
        done = loop.run("release", "--env", "prod", "--version", "dev/1")
        assert "passed  held-out rows answered: 112" in done.stdout
        assert "next: mlops score --env prod" in done.stdout
        assert loop.tags(1, "prod")["batch.prod"] == "passed"
        assert loop.champion("prod") == 1

        # This version's scoring script answers what is no class.
        script = "src/mlops/scoring/batch.py"
        loop.edit(script, ANSWER, f'{ANSWER}.assign(prediction="neither")')
        assert loop.json("train")["decision"]["version"] == 2
        failed = loop.run("release", "--env", "staging", "--version", "dev/2", status=1)
        assert "churn-model version 2 failed its test in batches" in failed.stderr
        assert "churn-model version 1 stays the champion" in failed.stderr
        assert "a prediction that is no class of the contract" in failed.stderr
        assert loop.champion("staging") == 1
        again = loop.run("release", "--env", "staging", "--version", "dev/2", status=3)
        assert "`mlops test --env staging --version 2`" in again.stderr
        further = loop.run("release", "--env", "prod", "--version", "dev/2", status=3)
        assert "FAILED  batch in staging: failed" in further.stderr
        assert loop.versions("prod") == [1]
        loop.run("test", "--env", "staging", "--version", "2", status=1)
        assert (
            "batch-test in staging: accepted version 1"
            in loop.run("test", "--env", "staging").stdout
        )
        assert loop.champion("staging") == 1
