"""`mlops deploy`, `rollout` and `rollback`: the traffic moves only to what passed its tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.conftest import mlops_environment

from .conftest import Loop, eventually
from .test_requests import Server, request

ANSWERS = "columns = {name: answers[name].tolist() for name in answers.columns}"


# Trains version 3 and brings it to where versions 1 and 2 are.
THIRD = """
from mlops import promotion, release, training
from mlops.project import find_project
from mlops.workspaces import open_workspace
project = find_project()
dev, staging = [open_workspace(project, name) for name in project.environments[:2]]
training.train(project, dev, settings={"max_iterations": "90"}, report=print)
promotion.promote(project, dev, staging, 3, report=print)
release.deploy(staging, 3, report=print)
release.rollout(staging, 3, report=print)
staging.close()
"""


def test_a_deployment_is_tested_at_no_traffic_and_rolled_out_in_the_stages_of_its_environment(
    trained: Loop,
) -> None:
    trained.edit("environments/dev.yml", "stages: [100]", "stages: [20, 60, 100]")
    early = trained.run("rollout", "--env", "dev", status=3)
    assert "run `mlops deploy --env dev --version 1`" in early.stderr
    nothing = trained.run("rollback", "--env", "dev", status=3)
    assert "no previous deployment to go back to" in nothing.stderr

    tested = trained.json("deploy", "--env", "dev")
    assert tested["accepted"] is True
    rules = [[check["rule"] for check in decision["checks"]] for decision in tested["decisions"]]
    assert rules == [
        [
            "answers one row", "answers 20 rows", "refuses text that is not JSON",
            "refuses a missing field", "refuses a wrong type", "refuses an unknown field",
            "latency p95 in ms",
        ],
        [
            "answers rows that obey the contract", "answers rows at the contract's limits",
            "refuses a missing field", "refuses a wrong type", "refuses null",
            "refuses a value out of range", "failed requests under load",
            "latency p95 in ms under load", "answers as before",
        ],
    ]  # fmt: skip
    state = trained.endpoint("dev")
    assert state["traffic"] == {}
    assert state["deployments"]["version-1"]["tags"] == {"smoke_test": "passed"}
    assert len(trained.decisions("dev", "smoke-test")) == 1
    assert len(trained.decisions("dev", "acceptance-test")) == 1

    first = trained.run("rollout", "--env", "dev")
    assert first.stderr.count("% of the traffic; testing") == 1, "nothing to share with yet"
    assert trained.endpoint("dev")["traffic"] == {"version-1": 100}
    again = trained.run("deploy", "--env", "dev", status=3)
    assert "version-1 already gets 100 % of the traffic" in again.stderr
    assert trained.tags(1)["rollout.dev"] == "passed"


def test_a_rollback_returns_the_traffic_and_the_champion_and_is_remembered(
    released: Loop,
) -> None:
    assert released.champion("prod") == 2
    back = released.json("rollback", "--env", "prod")
    assert (back["kind"], back["version"], back["accepted"]) == ("rollback", 1, True)
    assert released.endpoint("prod")["traffic"] == {"version-1": 100}
    assert released.champion("prod") == 1
    assert released.tags(2, "prod")["rollout.prod"] == "rolled back"

    second = released.run("rollback", "--env", "prod", status=3)
    assert "no previous deployment to go back to" in second.stderr
    forward = released.run("rollout", "--env", "prod", status=3)
    assert "was: rolled back; to try it again, name it: --version 2" in forward.stderr
    assert released.endpoint("prod")["traffic"] == {"version-1": 100}

    named = released.run("rollout", "--env", "prod", "--version", "2")
    said = [line for line in named.stderr.splitlines() if line.endswith("; testing ...")]
    assert said == [
        "10 % of the traffic is mirrored to version-2; testing ...",
        *(f"version-2 gets {share} % of the traffic; testing ..." for share in (10, 50, 100)),
    ]
    assert released.champion("prod") == 2
    assert released.tags(2, "prod")["rollout.prod"] == "passed"
    assert released.endpoint("prod")["traffic"] == {"version-2": 100}
    record = released.decisions("prod", "rollout")[-1]
    assert record["version"] == 2
    assert [check["rule"] for check in record["checks"]] == [
        f"{rule} at {stage}"
        for stage in ("10 % mirrored", *(f"{share} % of the traffic" for share in (10, 50, 100)))
        for rule in ("failed requests", "latency p95 in ms")
    ]
    assert released.endpoint("prod")["mirror"] == {}
    assert record["facts"] == {"deployment": "version-2", "before": "version-1"}


@pytest.mark.parametrize(("mirror", "stage"), [(10, "10 % mirrored"), (0, "10 % of the traffic")])
def test_a_mirror_or_canary_that_fails_leaves_the_traffic_as_it_was(
    released: Loop, mirror: int, stage: str
) -> None:
    released.edit("environments/prod.yml", "mirror: 10", f"mirror: {mirror}")
    released.run("rollback", "--env", "prod")
    before = released.endpoint("prod")
    # Version 2 is deployed at 0 %; what is deployed of it breaks.
    change(released, "raise RuntimeError('it broke')")
    failed = released.run("rollout", "--env", "prod", "--version", "2", status=1)
    assert "the rollout of version-2 failed, version-1 has all the traffic again" in failed.stderr
    assert f"FAILED  failed requests at {stage}: 2" in failed.stderr, "20 or more of 40"
    assert failed.stderr.count("testing ...") == 1, "it stops at the first stage that fails"
    assert "Traceback" not in failed.stderr
    assert released.endpoint("prod") == before
    assert before["traffic"] == {"version-1": 100}
    assert released.champion("prod") == 1
    assert released.tags(2, "prod")["rollout.prod"] == "failed"
    assert released.decisions("prod", "rollout")[-1]["accepted"] is False
    again = released.run("rollout", "--env", "prod", status=3)
    assert "was: failed; to try it again, name it: --version 2" in again.stderr


def test_a_canary_that_is_too_slow_fails(released: Loop) -> None:
    released.run("rollback", "--env", "staging")
    released.edit("environments/staging.yml", "p95_ms: 500", "p95_ms: 0.01")
    failed = released.run("rollout", "--env", "staging", "--version", "2", status=1)
    assert "FAILED  latency p95 in ms at 50 % of the traffic" in failed.stderr
    assert released.endpoint("staging")["traffic"] == {"version-1": 100}
    assert released.champion("staging") == 1
    further = released.run("promote", "--from", "staging", "--version", "2", status=3)
    assert "FAILED  rollout in staging: failed" in further.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("nothing.py", "version-1 did not start and was removed"),
        ("batch.py", "version-1 failed its smoke test and was removed"),
    ],
)
def test_a_deployment_that_does_not_work_leaves_the_endpoint_as_it_was(
    trained: Loop, script: str, said: str
) -> None:
    file = "deployment/online/deployment.yml"
    trained.edit(file, "scoring/online.py", f"scoring/{script}")
    failed = trained.run("deploy", "--env", "dev", status=1)
    assert said in failed.stderr
    assert ("scoring/nothing.py" in failed.stderr) == (script == "nothing.py"), "the log says why"
    assert trained.endpoint("dev")["deployments"] == {}
    assert not (trained.store("dev") / "version-1").exists()
    trained.edit(file, f"scoring/{script}", "scoring/online.py")
    trained.run("deploy", "--env", "dev")


def test_the_next_rollout_starts_from_what_was_proven_and_takes_the_rest_away(
    released: Loop,
) -> None:
    released.edit("environments/staging.yml", stages(released), "stages: [10, 100]")
    released.run("rollback", "--env", "staging")
    rollout = released.start("rollout", "--env", "staging", "--version", "2")
    rollout.until("version-2 gets 10 % of the traffic").kill()
    assert released.endpoint("staging")["traffic"] == {"version-2": 10, "version-1": 90}
    # Version 2 was never proven: what version 3 does not get stays with version 1.
    third = subprocess.run(
        [sys.executable, "-c", THIRD], cwd=released.root, capture_output=True, text=True,
        env=mlops_environment(released.root), timeout=300,
    )  # fmt: skip
    assert third.returncode == 0, third.stderr
    assert released.decisions("staging", "rollout")[-1]["facts"]["before"] == "version-1"
    state = released.endpoint("staging")
    assert state["traffic"] == {"version-3": 100}
    assert sorted(state["deployments"]) == ["version-1", "version-3"]
    assert not (released.store("staging") / "version-2").exists()
    assert released.champion("staging") == 3


def test_a_rollout_killed_while_it_mirrors_goes_on_or_is_rolled_back(released: Loop) -> None:
    prod = ("--env", "prod")
    released.run("rollback", *prod)
    forward = ("rollout", *prod, "--version", "2")
    mirroring = "10 % of the traffic is mirrored to version-2"
    released.start(*forward).until(mirroring).kill()
    state = released.endpoint("prod")
    assert (state["traffic"], state["mirror"]) == ({"version-1": 100}, {"version-2": 10})
    assert "version-2: 0 %, 10 % mirrored" in released.run("status", *prod).stdout
    (shown,) = released.json("status", *prod)
    deployments = shown["endpoint"]["deployments"]
    assert [(d["traffic"], d["mirror"]) for d in deployments] == [(100, 0), (0, 10)]

    back = released.run("rollback", *prod)
    assert "rollback in prod: accepted version 1" in back.stdout
    state = released.endpoint("prod")
    assert (state["traffic"], state["mirror"], state["tags"]) == ({"version-1": 100}, {}, {})
    assert released.tags(2, "prod")["rollout.prod"] == "rolled back"
    assert released.champion("prod") == 1

    released.start(*forward).until(mirroring).kill()
    last = released.run(*forward)
    assert last.stderr.count("testing ...") == 4
    state = released.endpoint("prod")
    assert (state["traffic"], state["mirror"]) == ({"version-2": 100}, {})
    assert state["tags"] == {"previous_deployment": "version-1"}
    assert released.champion("prod") == 2
    released.run("rollback", *prod)


def test_a_mirrored_deployment_that_hangs_is_started_and_asked_but_clients_do_not_wait(
    released: Loop,
) -> None:
    released.run("rollback", "--env", "prod")
    change(released, "__import__('time').sleep(600)")
    file = released.store("prod") / "endpoint.json"
    file.write_text(json.dumps({**released.endpoint("prod"), "mirror": {"version-2": 50}}))
    server = Server(released)
    body, started = request(server.rows()), time.monotonic()
    answers = [server.post(body) for _ in range(200)]
    assert time.monotonic() - started < 60
    assert {(status, name) for status, _, name in answers} == {(200, "version-1")}
    # Its server was started for the copies, beside that of version 1, and ends with the others.
    log = released.store("prod") / "version-2" / "server.log"
    eventually(lambda: "Listening at" in log.read_text())
    server.running.interrupt()
    eventually(lambda: not released.processes())
    assert "Traceback" not in server.running.output()


def test_a_mirrored_deployment_answers_copies_that_no_client_sees(released: Loop) -> None:
    released.run("rollback", "--env", "prod")
    file = released.store("prod") / "endpoint.json"
    file.write_text(json.dumps({**released.endpoint("prod"), "mirror": {"version-2": 50}}))
    server = Server(released)
    body, log = request(server.rows()), released.store("prod") / "version-2" / "server.log"

    def copies() -> int:
        return log.read_text().count('"POST /score HTTP')

    eventually(lambda: server.post(body)[0] == 200 and copies())
    before = copies()
    assert {server.post(body)[2] for _ in range(200)} == {"version-1"}
    # 200 requests at 50 %: 100 and five standard deviations of 7.1.
    eventually(lambda: copies() - before >= 64)
    assert copies() - before <= 136
    server.running.interrupt()


def change(loop: Loop, line: str) -> None:
    """Replace what the deployed version 2 of prod answers."""
    deployed = loop.store("prod") / "version-2" / "code" / "mlops" / "scoring" / "online.py"
    text = deployed.read_text()
    assert ANSWERS in text
    deployed.write_text(text.replace(ANSWERS, line))


def stages(loop: Loop) -> str:
    text = (loop.root / "environments" / "staging.yml").read_text()
    return next(line.strip() for line in text.splitlines() if "stages:" in line)
