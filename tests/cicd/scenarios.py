"""What happens to a project on a platform, from a pull request to production and back.

Each platform's test file runs all of these. The workflows' own commands run; the project trains,
releases and serves on local workspaces.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cruft as cruft_commands
import pytest

from tests.conftest import SCRATCH, commit_all, copy_of, generated, template_repository
from tests.matrix import SUBSCRIPTION, Answers
from tests.updates.conftest import git, replace

from .kept import Kept
from .platforms import Edit, Platform
from .runs import Run
from .tools import ALL_RIGHTS

SCORE = "src/churn_model/score.py"
# The version that this edit makes is fine, until it gets traffic in production.
DIES_AS_A_CANARY = """\
    import json
    if Path("{switch}").exists() and json.loads(Path("{state}").read_text("utf-8"))["traffic"].get(
        "version-2"
    ):
        raise RuntimeError("the canary is dead")
"""
REQUEST = (
    '{{"environment":"prod","model":"churn-model","origin":"dev/1","digest":"{digest}","asks":[{asks}],'
    '"time":"2026-01-31T06:00:00+00:00"}}'
)
NOTHING_BUT_RELEASES = {"integration", "training", "infrastructure"}


def nothing(_: Path) -> None:
    """An edit that changes nothing."""


def write(name: str, text: str) -> Edit:
    """An edit that adds text to a file, or a new file."""

    def edit(project: Path) -> None:
        with (project / name).open("a", encoding="utf-8") as stream:
            stream.write(text)

    return edit


class Scenarios:
    """All scenarios; a platform's test class says which kind it is."""

    kind: ClassVar[type[Platform]]
    _platform: ClassVar[Platform | None] = None
    _states: ClassVar[dict[str, Path]]
    _runs: ClassVar[dict[str, dict[str, Run]]]

    @pytest.fixture(scope="class", autouse=True)
    def _one_platform(self) -> Iterator[None]:
        cls = type(self)
        root = SCRATCH / "cicd" / cls.kind.ci_cd
        cls._platform, cls._states, cls._runs = cls.kind(root), {}, {}
        yield
        cls._platform = None
        shutil.rmtree(root)

    @property
    def platform(self) -> Platform:
        """The platform, as the test before left it."""
        assert self._platform
        return self._platform

    def project(self, **answers: str) -> Platform:
        """The platform with a new project."""
        folder = SCRATCH / "cicd" / "projects"
        shutil.rmtree(folder, ignore_errors=True)
        self.platform.host(copy_of(generated(ci_cd=self.kind.ci_cd, **answers), folder))
        return self.platform

    def state(self, name: str) -> Platform:
        """The platform in a state that is made once and put back for each test."""
        if name not in self._states:
            getattr(self, f"_make_{name}")()
            copy = SCRATCH / "cicd" / "states" / self.kind.ci_cd / name
            self._states[name] = self.platform.machine.save(copy)
        self.platform.machine.restore(self._states[name])
        self.platform.renew()
        return self.platform

    def _make_fresh(self) -> None:
        self.project()

    def _make_released(self) -> None:
        """Version 1 is in all environments."""
        platform = self.state("fresh")
        platform.left_out = {"integration"}
        pushed = platform.push(write("src/churn_model/features.py", "\n# more\n"))
        self._runs["push"] = pushed | platform.handed_over()
        self._runs["asked"] = platform.asked  # type: ignore[assignment]

    def _make_trained(self) -> None:
        """The same, and version 2 was trained; its release waits to be started."""
        platform = self.state("released")
        kept = Kept(platform)
        state = (
            platform.machine.folder
            / ".mlops"
            / kept.store("prod").relative_to(kept.root / ".mlops")
        )
        dying = DIES_AS_A_CANARY.format(switch=self.switch, state=state / "endpoint.json")
        first = "    probabilities = model.predict_proba(features)\n"
        platform.left_out = {"integration"}
        platform.push(replace(SCORE, first, dying + first))["training"].must()

    @property
    def switch(self) -> Path:
        """The file that makes version 2 die where it gets traffic."""
        return self.platform.machine.root / "the-canary-dies"

    # --- integration -----------------------------------------------------------------------------

    def test_a_pull_request_is_checked_without_any_rights(self) -> None:
        runs = self.state("fresh").pull_request(write("README.md", "\nMore.\n"))
        assert set(runs) == {"integration"}
        run = runs["integration"].must()
        assert {job.key for job in run.ran} == {"checks", "tests", "model"}
        for job in run.jobs:
            assert job.permissions in ({}, {"contents": "read"})
            assert not (job.signed_in or job.environment)
        assert not self.platform.state["calls"] and not self.platform.asked
        summary = run.job("model").summary
        assert "| metric |" in summary and "| roc_auc |" in summary and "accepted" in summary

    def test_a_model_that_the_gate_refuses_turns_a_pull_request_red(self) -> None:
        platform = self.state("fresh")
        platform.left_out = {"checks", "tests"}
        runs = platform.pull_request(
            replace("environments/dev.yml", "roc_auc: 0.95", "roc_auc: 0.9999")
        )
        run = runs["integration"].must("failure")
        assert "roc_auc" in run.summary and "refused" in run.summary

    # --- training and release --------------------------------------------------------------------

    def test_a_push_trains_and_the_very_version_goes_to_production(self) -> None:
        platform = self.state("released")
        training, release = (self._runs["push"][stage].must() for stage in ("training", "release"))
        assert "accepted" in training.job("train").summary
        assert release.queue
        names = [name for name, _ in platform.environments()]
        here = [key for job in release.ran for key in names if key in job.key.split("/")]
        assert here == names
        signed_in = [job.signed_in for job in release.ran]
        assert len(set(signed_in)) == len(names) and all(signed_in)
        assert self._runs["asked"] == [platform.environments()[-1][1]]
        kept = Kept(platform)
        assert {kept.digest(name) for name in names} == {
            training.job("train").output_named("digest")
        }
        assert kept.traffic("prod") == {"version-1": 100}
        for job in (*release.ran, training.job("train")):
            ((files, _),) = job.artifacts.values()
            assert any("decisions/" in name for name in files)
            assert any(name.endswith("model_card.md") for name in files)

    def test_the_same_release_again_has_nothing_to_do(self) -> None:
        platform = self.state("released")
        before = Kept(platform)
        decisions = len(before.decisions("prod", "rollout"))
        platform.start("release", version="dev/1").must()
        assert len(Kept(platform).decisions("prod", "rollout")) == decisions

    def test_a_second_version_takes_the_traffic_over(self) -> None:
        platform = self.state("trained")
        platform.handed_over()["release"].must()
        kept = Kept(platform)
        assert kept.champion("prod") == 2
        assert kept.traffic("prod") == {"version-2": 100}
        assert kept.digest("prod") == kept.digest("staging") == kept.tags(2)["model_digest"]

    def test_without_approval_production_stays_as_it_is(self) -> None:
        platform = self.state("trained")
        platform.refused = platform.reviewed()
        platform.handed_over()["release"].must("failure")
        kept = Kept(platform)
        assert kept.champion("staging") == 2
        self.assert_production_is_untouched(kept)

    def test_a_failing_test_in_staging_ends_the_release_there(self) -> None:
        platform = self.state("trained")
        platform.left_out = NOTHING_BUT_RELEASES
        platform.push(replace("environments/staging.yml", "p95_ms: 500", "p95_ms: 0.001"))
        run = platform.handed_over()["release"].must("failure")
        assert run.jobs[-1].result in ("skipped", "cancelled") and not platform.asked
        kept = Kept(platform)
        assert kept.champion("staging") == 1
        assert kept.traffic("staging") == {"version-1": 100}
        self.assert_production_is_untouched(kept)

    def test_a_failing_canary_is_rolled_back(self) -> None:
        platform = self.state("trained")
        self.switch.touch()
        try:
            run = platform.handed_over()["release"].must("failure")
        finally:
            self.switch.unlink()
        assert run.jobs[-1].result == "failure", run.failures
        assert "version-1 has all the traffic again" in run.jobs[-1].output, run.failures
        kept = Kept(platform)
        assert kept.champion("staging") == 2
        assert kept.champion("prod") == 1
        assert kept.traffic("prod") == {"version-1": 100}
        (*_, rollout) = kept.decisions("prod", "rollout")
        assert not rollout["accepted"] and rollout["version"] == 2

    def test_a_version_with_another_digest_is_not_released(self) -> None:
        platform = self.state("trained")
        run = platform.start("release", version="dev/2", digest="0" * 64).must("failure")
        assert "digest" in run.output
        self.assert_production_is_untouched(Kept(platform))

    def assert_production_is_untouched(self, kept: Kept) -> None:
        """It serves version 1, and has not seen version 2."""
        assert kept.versions("prod") == [1]
        assert kept.champion("prod") == 1
        assert kept.traffic("prod") == {"version-1": 100}

    def goes_through(self, answers: Answers) -> None:
        """A push to a project with other answers brings a version to production."""
        platform = self.project(**answers)
        platform.left_out = NOTHING_BUT_RELEASES - {"training"}
        pushed = platform.push(write("src/churn_model/features.py", "\n# more\n"))
        pushed["training"].must()
        release = platform.handed_over()["release"].must()
        names = answers["environments"].split("-")
        assert len(release.ran) == len(names)
        kept = Kept(platform)
        assert len({kept.digest(name) for name in names}) == 1 and kept.digest("prod")
        if answers["serving"] != "batch":
            assert list(kept.traffic("prod").values()) == [100]
        assert not platform.handed_over()

    # --- monitoring ------------------------------------------------------------------------------

    def test_a_schedule_without_alarms_tells_nobody(self) -> None:
        platform = self.state("released")
        run = platform.schedule("monitoring").must()
        assert "no alarm" in run.summary
        assert platform.state["issues"] == [] and platform.state["runs"] == []

    def _make_alarmed(self) -> None:
        """Version 1 is in production and breached a monitor; the code that trains it has changed."""
        platform = self.state("released")
        platform.left_out = {"integration", "training"}
        platform.push(write("src/churn_model/features.py", "\n# still more\n"))
        Kept(platform).raise_alarm("prod", "data_drift")

    def test_an_alarm_that_comes_twice_becomes_one_issue_and_one_new_version_in_production(
        self,
    ) -> None:
        platform = self.state("alarmed")
        for _ in range(2):  # both before a training begins: two events, or a slow platform
            run = platform.schedule("monitoring").must()
            assert "prod: a training is asked for" in run.summary
            ((files, _),) = run.job("monitor").artifacts.values()
            assert files == ("report.html",)
        (issue,) = platform.state["issues"]
        assert issue["state"] == "OPEN" and "data_drift" in issue["title"]
        handed = platform.handed_over()
        assert list(handed) == ["training", "release"]
        again, _ = (handed[stage].must() for stage in handed)
        assert "done before: trained and registered, dev/2" in again.summary
        assert again.job("train").output_named("registered") == "false"
        assert platform.asked == [platform.environments()[-1][1]], "it was released once"
        kept = Kept(platform)
        assert kept.versions("dev") == [1, 2]
        assert kept.champion("prod") == 2 and kept.traffic("prod") == {"version-2": 100}
        assert kept.digest("prod") == again.job("train").output_named("digest")
        # The alarm ended with its version.
        platform.schedule("monitoring").must()
        (issue,) = platform.state["issues"]
        assert issue["state"] == "CLOSED" and platform.state["runs"] == []

    def test_a_refused_model_is_told_until_one_passes(self) -> None:
        platform = self.state("alarmed")
        platform.left_out = {"integration", "training", "infrastructure"}
        gate = replace("environments/dev.yml", "roc_auc: 0.95", "roc_auc: 0.9999")
        platform.push(gate)
        Kept(platform)
        platform.schedule("monitoring").must()
        handed = platform.handed_over()
        assert list(handed) == ["training"]
        assert "trained, and refused" in handed["training"].must().summary
        titles = [issue["title"] for issue in platform.state["issues"]]
        assert titles == ["prod: data_drift", "prod: the retraining was refused"]
        told = platform.state["issues"][1]
        assert "churn-model: refused in dev" in told["body"] and "roc_auc" in told["body"]
        # The monitoring of the next day leaves it open, and nothing is trained again.
        platform.schedule("monitoring").must()
        assert "done before" in platform.handed_over()["training"].must().summary
        assert [issue["state"] for issue in platform.state["issues"]] == ["OPEN", "OPEN"]
        assert Kept(platform).versions("dev") == [1]
        platform.push(replace("environments/dev.yml", "roc_auc: 0.9999", "roc_auc: 0.95"))
        by_hand = '{"trigger":"person","state":"now"}'
        request = REQUEST.format(asks=by_hand, digest=Kept(platform).digest("prod"))
        forced = platform.start("training", request=request).must()
        assert "trained and registered, dev/2" in forced.summary
        assert platform.state["issues"][1]["state"] == "CLOSED"

    def test_what_is_no_request_is_refused(self) -> None:
        platform = self.state("released")
        run = platform.start("training", request="$(touch /tmp/never) `id`").must("failure")
        assert "--request is not the line of JSON" in run.output
        assert platform.state["runs"] == [] and platform.state["issues"] == []

    # --- updates of the template -----------------------------------------------------------------

    def linked(self, folder: Path) -> Platform:
        """The platform with a project of v0.9.0 of a template that has v0.10.0 as well."""

        template = folder / "template"
        git(folder, "clone", "-q", str(template_repository()), str(template))
        git(template, "tag", "v0.9.0")
        replace("templates/environment.yml", "p95_ms: 500", "p95_ms: 400")(template)
        commit_all(template, "release")
        git(template, "tag", "-a", "v0.10.0", "-m", "release")
        made = cruft_commands.create(
            str(template), output_dir=folder / "made", no_input=True, default_config=True,
            checkout="v0.9.0", extra_context={"ci_cd": self.kind.ci_cd},
        )  # fmt: skip
        commit_all(Path(made))
        self.platform.host(Path(made))
        self.platform.variables = {"TEMPLATE_UPDATE_TOKEN": ALL_RIGHTS}
        return self.platform

    def test_a_release_of_the_template_becomes_one_pull_request(self, tmp_path: Path) -> None:
        platform = self.linked(tmp_path)
        for _ in range(2):  # the next week nothing is new
            platform.schedule("template-update").must()
            (pull,) = platform.state["pull_requests"]
            assert pull["headRefName"] == "template-update/v0.10.0"
            assert pull["title"] == "Update the template: v0.10.0"
            assert platform.head("template-update/v0.10.0") != platform.head()

    def test_a_pull_request_that_could_not_be_opened_is_opened_the_next_time(
        self, tmp_path: Path
    ) -> None:
        platform = self.linked(tmp_path)
        words = {"github-actions": ("pr",), "azure-devops": ("repos", "pr")}[self.kind.ci_cd]
        platform.breaks(*words, "create")
        platform.schedule("template-update").must("failure")
        assert platform.state["pull_requests"] == []
        platform.breaks()
        platform.schedule("template-update").must()
        assert len(platform.state["pull_requests"]) == 1

    def test_an_update_that_conflicts_fails_and_pushes_nothing(self, tmp_path: Path) -> None:
        platform = self.linked(tmp_path)
        platform.left_out = NOTHING_BUT_RELEASES
        platform.push(replace("environments/prod.yml", "p95_ms: 500", "p95_ms: 300"))
        run = platform.schedule("template-update").must("failure")
        assert "1 file(s) could not be merged: environments/prod.yml" in run.output
        assert platform.state["pull_requests"] == []
        assert platform.machine.git("branch", "--list", "template-update/*") == ""

    # --- infrastructure --------------------------------------------------------------------------

    def in_azure(self, **answers: str) -> Platform:
        """The platform with a project that names a subscription."""
        platform = self.project(azure_subscription_id=SUBSCRIPTION, **answers)
        platform.local = False
        return platform

    def test_a_pull_request_shows_what_would_change_in_azure(self) -> None:
        platform = self.in_azure()
        platform.local, platform.left_out = True, {"integration"}
        runs = platform.pull_request(write("infrastructure/roles.yml", "\n# more\n"))
        run = runs["infrastructure"].must()
        assert [job.key.split("/")[-1] for job in run.ran] == ["plan"]
        assert len(platform.asked) == 1
        (pull,) = platform.state["pull_requests"]
        (comment,) = pull["comments"]
        assert "What is missing" in comment

    @pytest.mark.parametrize("workspaces", ["one-per-environment", "one-shared"])
    def test_the_infrastructure_is_deployed_after_approval(self, workspaces: str) -> None:
        platform = self.in_azure(workspaces=workspaces)
        platform.left_out = {"integration", "training"}
        edit = write("infrastructure/roles.yml", "\n# more\n")
        platform.push(edit)["infrastructure"].must()
        files = [
            Path(call[call.index("--parameters") + 1]).stem
            for call in platform.calls("deployment", "sub", "create")
        ]
        expected = {"one-shared": ["shared"], "one-per-environment": ["dev", "staging", "prod"]}
        assert files == expected[workspaces] and len(platform.asked) == len(files)
        platform.refused = platform.reviewed()
        platform.push(edit)["infrastructure"].must("failure")
        assert len(platform.calls("deployment", "sub", "create")) == len(files)

    @pytest.mark.parametrize(
        ("environment", "confirm", "result"),
        [
            ("staging", "staging", "success"),
            ("staging", "dev", "failure"),
            ("prod", "prod", "failure"),
        ],
    )
    def test_an_environment_is_torn_down_if_it_is_confirmed_and_not_production(
        self, environment: str, confirm: str, result: Any
    ) -> None:
        platform = self.in_azure()
        platform.start("teardown", environment=environment, confirm=confirm).must(result)
        deleted = platform.calls("group", "delete")
        assert [call[call.index("--name") + 1] for call in deleted] == (
            ["rg-churnmodel-staging"] if result == "success" else []
        )
