from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlops.pipeline_checks import load_pipeline
from mlops.workspaces import StepResult
from mlops.workspaces.local.jobs import JobRunner, StepFailed

from .builders import edit, write

PYTHON = f"'{sys.executable}' -I -S"


class Work:
    """A pipeline of shell commands, and the runs of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner: JobRunner
        self.said: list[str] = []
        write(folder / "code" / "main.py", "")
        write(folder / "constraints.txt", "a==1\n")

    def component(self, name: str, command: str, more: str = "") -> None:
        """A component with the output `out`, a folder."""
        lines = "".join(f"  {line}\n" for line in command.splitlines())
        write(
            self.folder / f"{name}.yml",
            f"type: command\nname: {name}\nenvironment: azureml:x@latest\ncode: ./code\n"
            f"outputs: {{out: {{type: uri_folder}}}}\n{more}\ncommand: |\n{lines}",
        )

    def pipeline(self, jobs: str, inputs: str = "") -> None:
        write(self.folder / "pipeline.yml", f"type: pipeline\n{inputs}\njobs:\n{jobs}")

    def run(
        self, inputs: dict[str, Any] | None = None, cache: bool = True, **more: Any
    ) -> dict[str, StepResult]:
        pipeline = load_pipeline(self.folder / "pipeline.yml")
        self.runner = JobRunner(
            self.folder / "state", pipeline, pipeline.with_inputs(inputs or {}),
            packages=self.folder / "constraints.txt", variables={"COLOUR": "blue"},
            cache=cache, report=self.said.append, **more,
        )  # fmt: skip
        return {result.name: result for result in self.runner.run()}

    def reused(self, **arguments: Any) -> list[str]:
        return [name for name, result in self.run(**arguments).items() if result.reused]

    def output(self, step: str, file: str) -> str:
        return (self.runner.outputs[f"{step}.out"] / file).read_text().strip()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def chain(work: Work) -> Work:
    """`copy` copies a file and appends a word; `join` reads what `copy` wrote."""
    work.component(
        "copy",
        "cat ${{inputs.data}} > ${{outputs.out}}/text\necho ${{inputs.word}} >> ${{outputs.out}}/text",
        "inputs: {data: {type: uri_file}, word: {type: string, default: end}}",
    )
    work.component(
        "join",
        "tr '\\n' ' ' < ${{inputs.folder}}/text > ${{outputs.out}}/line\necho \"$COLOUR\"",
        "inputs: {folder: {type: uri_folder}}",
    )
    work.pipeline(
        "  join: {component: ./join.yml, inputs: {folder: '${{parent.jobs.copy.outputs.out}}'}}\n"
        "  copy: {component: ./copy.yml, inputs: {data: '${{parent.inputs.data}}',"
        " word: '${{parent.inputs.word}}'}}\n",
        "inputs: {data: {type: uri_file, path: ./data.txt}, word: one}",
    )
    write(work.folder / "data.txt", "first\n")
    return work


def test_steps_run_in_the_order_of_the_graph_with_their_inputs_wired(chain: Work) -> None:
    results = chain.run()
    assert list(results) == ["copy", "join"]
    assert chain.output("join", "line") == "first one"
    assert results["join"].log.read_text() == "blue\n"
    assert not any(result.reused for result in results.values())
    assert chain.said[0] == "copy ..."


def test_unchanged_steps_are_reused_with_their_outputs(chain: Work) -> None:
    chain.run()
    results = chain.run()
    assert [result.reused for result in results.values()] == [True, True]
    assert chain.output("join", "line") == "first one"
    assert "join reused" in chain.said


def test_without_the_cache_every_step_runs(chain: Work) -> None:
    chain.run()
    assert chain.reused(cache=False) == []


@pytest.mark.parametrize("what", ["code", "packages", "data", "literal", "command"])
def test_a_change_of_what_a_step_reads_runs_it_again(chain: Work, what: str) -> None:
    chain.run()
    inputs = None
    if what == "code":
        write(chain.folder / "code" / "new.py", "")
    elif what == "packages":
        write(chain.folder / "constraints.txt", "a==2\n")
    elif what == "data":
        write(chain.folder / "data.txt", "second\n")
    elif what == "literal":
        inputs = {"word": "two"}
    else:
        edit(chain.folder / "copy.yml", "cat ", "cat  ")
    assert chain.reused(inputs=inputs) == []


def test_a_step_whose_inputs_did_not_change_is_reused_when_a_later_one_changes(chain: Work) -> None:
    chain.run()
    edit(chain.folder / "join.yml", "tr '", "tr  '")
    assert chain.reused() == ["copy"]


def test_a_step_that_is_not_deterministic_runs_each_time_and_so_do_its_followers(
    chain: Work,
) -> None:
    edit(chain.folder / "copy.yml", "name: copy\n", "name: copy\nis_deterministic: false\n")
    chain.run()
    assert chain.reused() == []


def test_independent_steps_run_side_by_side(work: Work) -> None:
    wait = "i=0; until [ -e ../{other} ]; do i=$((i+1)); [ $i -lt 100 ] || exit 9; sleep 0.05; done"
    for name, other in (("left", "right"), ("right", "left")):
        work.component(name, f"touch ../{name}\n{wait.format(other=other)}")
    work.pipeline("  left: {component: ./left.yml}\n  right: {component: ./right.yml}\n")
    assert set(work.run()) == {"left", "right"}


@pytest.mark.parametrize(("status", "exit_status"), [(1, 1), (3, 3), (7, 1)])
def test_a_failing_step_gives_its_name_status_and_the_end_of_its_log(
    work: Work, status: int, exit_status: int
) -> None:
    work.component("fail", f"{PYTHON} -c 'for i in range(30): print(\"line\", i)'\nexit {status}")
    work.pipeline("  broken: {component: ./fail.yml}\n")
    with pytest.raises(StepFailed) as caught:
        work.run()
    assert caught.value.exit_status == exit_status
    message = str(caught.value)
    assert f"step `broken` ended with exit status {status}" in message
    assert message.endswith("line 29")
    assert "line 10\n" in message
    assert "line 9\n" not in message
    assert "line 0\n" in work.runner.logs["broken"].read_text()
    with pytest.raises(StepFailed):
        work.run()


def test_a_command_ends_at_its_first_failing_line(work: Work) -> None:
    work.component("fail", "false\necho never")
    work.pipeline("  broken: {component: ./fail.yml}\n")
    with pytest.raises(StepFailed) as caught:
        work.run()
    assert "never" not in str(caught.value)


def test_after_a_failure_nothing_follows_and_what_runs_beside_is_ended(work: Work) -> None:
    work.component("fail", "sleep 0.3\nfalse")
    work.component("slow", "sleep 30")
    work.component("next", "touch ../followed", "inputs: {x: {type: uri_folder}}")
    work.pipeline(
        "  broken: {component: ./fail.yml}\n  slow: {component: ./slow.yml}\n"
        "  next: {component: ./next.yml, inputs: {x: '${{parent.jobs.broken.outputs.out}}'}}\n"
    )
    started = time.monotonic()
    with pytest.raises(StepFailed, match="`broken`"):
        work.run()
    assert time.monotonic() - started < 10
    assert not (work.folder / "followed").exists()


def test_what_a_killed_job_left_half_done_is_removed_and_not_reused(chain: Work) -> None:
    chain.run()
    write(chain.folder / "state" / "steps" / ".partial-1234" / "outputs" / "out" / "text", "half")
    assert chain.reused() == ["copy", "join"]
    assert not list((chain.folder / "state" / "steps").glob(".partial-*"))


def test_an_output_gets_its_name_only_when_the_step_is_done(work: Work) -> None:
    work.component("fail", "echo half > ${{outputs.out}}/text\nfalse")
    work.pipeline("  broken: {component: ./fail.yml}\n")
    with pytest.raises(StepFailed):
        work.run()
    assert [p.name for p in (work.folder / "state" / "steps").iterdir()] == ["failed-broken"]


def test_paths_and_words_arrive_with_spaces_and_quotes(tmp_path: Path) -> None:
    work = Work(tmp_path / 'it\'s "here" $HOME')
    write(work.folder / "data; echo.txt", "content\n")
    inputs = "inputs: {data: {type: uri_file}, word: {type: string}, on_: {type: boolean}}"
    work.component(
        "copy",
        "cat ${{inputs.data}} > ${{outputs.out}}/text\n"
        "printf %s ${{inputs.word}} > ${{outputs.out}}/word\n"
        "printf %s ${{inputs.on_}} > ${{outputs.out}}/flag",
        inputs,
    )
    work.pipeline(
        "  copy: {component: ./copy.yml, inputs: {data: './data; echo.txt', on_: true,"
        " word: '${{parent.inputs.word}}'}}\n",
        "inputs: {word: x}",
    )
    word = "a 'b' \"c\" $HOME `d` \\ *"
    work.run({"word": word})
    assert work.output("copy", "text") == "content"
    assert work.output("copy", "word") == word
    assert work.output("copy", "flag") == "true"


def test_an_output_that_is_a_file_has_its_folder(work: Work) -> None:
    work.component("one", "echo x > ${{outputs.out}}")
    edit(work.folder / "one.yml", "uri_folder", "uri_file")
    work.pipeline("  one: {component: ./one.yml}\n")
    work.run()
    assert work.runner.outputs["one.out"].read_text() == "x\n"
