"""`mlops promote`: what may go from one environment into the next, and what goes with it."""

from __future__ import annotations

import shutil

import pytest

from .conftest import Loop


def test_a_version_goes_on_with_its_lineage(trained: Loop) -> None:
    done = trained.json("promote", "--from", "dev", "--to", "staging")
    assert done["version"] == 1
    assert done["decision"]["accepted"] is True
    assert done["decision"]["environment"] == "staging"
    before, after = trained.tags(1), trained.tags(1, "staging")
    assert after.items() >= before.items()
    added = {key: value for key, value in after.items() if key not in before}
    assert added.pop("trained").endswith("+00:00")
    assert added == {"gate.staging": "passed", "origin": "dev/1", "promoted_from": "dev/1"}
    files, copy = trained.model(1).parent, trained.model(1, "staging").parent
    for path in ("model/MLmodel", "held_out/held_out.parquet", "decision/model_card.md"):
        assert (copy / path).read_bytes() == (files / path).read_bytes(), path
    assert trained.champion("staging") is None, "it has yet to pass the rollout there"
    # Once more: it is there already.
    assert trained.json("promote", "--from", "dev")["version"] == 1
    assert trained.versions("staging") == [1]
    assert trained.runs("staging") == ["FINISHED"]
    # And not further, before it has passed its tests there.
    refused = trained.run("promote", "--from", "staging", "--to", "prod", status=3)
    assert "FAILED  rollout in staging: not done" in refused.stderr
    assert trained.versions("prod") == []
    (record,) = trained.decisions("prod", "promotion")
    assert record["accepted"] is False


def test_environments_cannot_be_skipped_or_taken_backwards(trained: Loop) -> None:
    for here, there in (("dev", "prod"), ("staging", "dev"), ("dev", "dev")):
        refused = trained.run("promote", "--from", here, "--to", there, status=3)
        assert f"a version goes dev -> staging -> prod; from {here} it cannot go to {there}" in (
            refused.stderr
        )
        assert trained.versions("prod") == []
    last = trained.run("promote", "--from", "prod", status=2)
    assert "prod is the last environment" in last.stderr


def test_the_floors_of_the_target_count(trained: Loop) -> None:
    settings = trained.root / "environments" / "staging.yml"
    text = settings.read_text()
    start = text.index("  floors: {roc_auc:")
    settings.write_text(text[:start] + "  floors: {f1: 1.0}" + text[text.index("\n", start) :])
    refused = trained.run("promote", "--from", "dev", status=3)
    assert "version 1 of dev may not enter staging" in refused.stderr
    assert "FAILED  f1: 0.9" in refused.stderr
    assert trained.versions("staging") == []
    (record,) = trained.decisions("staging", "promotion")
    assert [c["rule"] for c in record["checks"] if not c["passed"]] == ["f1"]
    state = trained.json("status", "--env", "staging")[0]
    assert state["last_decision"]["accepted"] is False


@pytest.mark.parametrize("file", ["model/model.skops", "code/churn_model/score.py"])
def test_a_file_of_a_version_that_was_changed_is_refused_by_its_digest(
    trained: Loop, file: str
) -> None:
    path = trained.model(1).parent / file
    path.write_bytes(path.read_bytes() + b"\n")
    refused = trained.run("promote", "--from", "dev", status=3)
    assert "FAILED  digest of " in refused.stderr
    assert "floor" not in refused.stderr, "files that nobody tested are not evaluated"
    assert trained.versions("staging") == []
    not_deployed = trained.run("deploy", "--env", "dev", status=3)
    assert "is not what was registered" in not_deployed.stderr
    assert trained.endpoint("dev") == {}


def test_what_is_not_there_is_named(trained: Loop) -> None:
    unknown = trained.run("promote", "--from", "dev", "--version", "7", status=2)
    assert "dev has no model version 7; it has: 1" in unknown.stderr
    empty = trained.run("promote", "--from", "staging", status=3)
    assert "staging has no model version yet" in empty.stderr
    shutil.rmtree(trained.model(1))
    gone = trained.run("promote", "--from", "dev", status=1)
    assert "are gone from" in gone.stderr
    assert "Traceback" not in gone.stderr
