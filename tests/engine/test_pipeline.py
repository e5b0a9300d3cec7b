from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mlops.documents import InvalidFile, read_yaml
from mlops.errors import UsageError
from mlops.pipeline import Component, fill_command, read_pipeline
from mlops.pipeline_checks import inspect_pipeline, load_pipeline

from ..conftest import generated
from .builders import edit, write

PIPELINE = """\
type: pipeline
inputs:
  data:
    type: uri_file
    path: ./data.txt
  seed: 1
jobs:
  first:
    type: command
    component: ./first.yml
    inputs:
      data: ${{parent.inputs.data}}
      seed: ${{parent.inputs.seed}}
  second:
    type: command
    component: ./second.yml
    inputs:
      table: ${{parent.jobs.first.outputs.table}}
      rate: 0.5
      flag: true
"""
FIRST = """\
type: command
name: first
inputs:
  data: {type: uri_file}
  seed: {type: integer, default: 0}
  note: {type: string, optional: true}
outputs:
  table: {type: uri_folder}
code: ./code
environment: azureml:some@latest
is_deterministic: true
command: run ${{inputs.data}} ${{inputs.seed}} $[[--note ${{inputs.note}}]] ${{outputs.table}}
"""
SECOND = """\
type: command
name: second
inputs:
  table: {type: uri_folder}
  rate: {type: number}
  flag: {type: boolean}
outputs:
  model: {type: mlflow_model}
code: ./code
environment: file:./environment.yml
command: run ${{inputs.table}} ${{inputs.rate}} ${{inputs.flag}} ${{outputs.model}}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline of two steps that fit together."""
    write(tmp_path / "first.yml", FIRST)
    write(tmp_path / "second.yml", SECOND)
    write(tmp_path / "environment.yml", "image: x\n")
    write(tmp_path / "data.txt", "1\n")
    write(tmp_path / "code" / "main.py", "")
    return write(tmp_path / "pipeline.yml", PIPELINE)


def test_a_pipeline_that_fits_together_has_no_findings(pipeline: Path) -> None:
    assert inspect_pipeline(pipeline)[1] == []
    assert list(load_pipeline(pipeline).steps) == ["first", "second"]


def test_the_shipped_pipeline_has_no_findings() -> None:
    found, findings = inspect_pipeline(generated() / "pipelines" / "training.yml")
    assert findings == []
    assert found.steps["register"].needs == {"prepare", "train", "evaluate"}


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pipeline", "      rate: 0.5", "      rate: 0.5\n      rat: 1", "no input `rat`; did you mean `rate`?"),
        ("pipeline", "jobs.first.outputs", "jobs.frist.outputs", "no step `frist`; did you mean `first`?"),
        ("pipeline", "outputs.table}}", "outputs.tabel}}", "no output `tabel`; did you mean `table`?"),
        ("pipeline", "parent.inputs.seed", "parent.inputs.sede", "no input `sede`; did you mean `seed`?"),
        ("pipeline", "rate: 0.5", "rate: ${{inputs.rate}}", "write `${{parent.inputs.NAME}}`"),
        ("pipeline", "rate: 0.5", "rate: x${{parent.inputs.seed}}", "write `${{parent.inputs.NAME}}`"),
        ("pipeline", "rate: 0.5", "rate: fast", "of type number, not 'fast'"),
        ("pipeline", "rate: 0.5", "rate: true", "of type number, not True"),
        ("pipeline", "flag: true", "flag: 1", "of type boolean, not 1"),
        ("pipeline", "seed: ${{parent.inputs.seed}}", "seed: 1.5", "of type integer, not 1.5"),
        ("pipeline", "path: ./data.txt", "path: ./dat.txt", "./dat.txt is missing"),
        ("pipeline", "data: ${{parent.inputs.data}}", "data: ./dat.txt", "./dat.txt is missing"),
        ("pipeline", "./second.yml", "./secnd.yml", "./secnd.yml is missing"),
        ("pipeline", "type: pipeline", "type: pipeline\ndisplayname: x", "did you mean `display_name`?"),
        ("pipeline", "    component: ./second.yml", "    component: ./second.yml\n    computee: x", "did you mean `compute`?"),
        ("pipeline", "    component: ./second.yml", "    componen: ./second.yml", "needs `component:`"),
        ("first", "is_deterministic: true", "is_determinstic: true", "did you mean `is_deterministic`?"),
        ("first", "code: ./code", "code: ./cod", "the folder ./cod is missing"),
        ("second", "file:./environment.yml", "file:./env.yml", "env.yml is missing"),
        ("second", "inputs.rate}}", "inputs.rat}}", "names inputs `rat`; did you mean `rate`?"),
        ("second", "outputs.model}}", "output.model}}", "write `${{inputs.NAME}}`"),
        ("second", "{type: mlflow_model}", "{type: mlflow_modl}", "did you mean `mlflow_model`?"),
        ("first", "{type: string, optional: true}", "{type: text, optional: true}", "`text` is no type"),
        ("first", "{type: uri_folder}", "{type: string}", "`string` is no type"),
        ("first", "inputs:", "\tinputs:", "not YAML"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_finding_at_its_file_and_line(
    pipeline: Path, file: str, old: str, new: str, problem: str
) -> None:
    path = pipeline.with_name(f"{file}.yml")
    line = edit(path, old, new)
    # What was added below a line is found there.
    line += new.count("\n")
    (finding,) = inspect_pipeline(pipeline)[1]
    if "needs `component" in problem:
        line = 14  # the step that lacks it
    assert problem in finding.problem
    assert (finding.path.name, finding.line) == (path.name, line)


def test_an_input_that_is_not_bound_is_found_at_the_step(pipeline: Path) -> None:
    edit(pipeline, "      rate: 0.5\n", "")
    (finding,) = inspect_pipeline(pipeline)[1]
    assert (finding.line, finding.problem) == (17, "step `second` must bind the input `rate`")


@pytest.mark.parametrize("step", ["second", "first"])
def test_steps_that_wait_for_each_other_are_found(pipeline: Path, step: str) -> None:
    edit(pipeline, "${{parent.inputs.data}}", f"${{{{parent.jobs.{step}.outputs.m}}}}")
    output = {"second": "model", "first": "table"}[step]
    edit(pipeline, "outputs.m}}", f"outputs.{output}}}}}")
    (finding,) = inspect_pipeline(pipeline)[1]
    assert finding.line == 7
    assert "wait for each other" in finding.problem
    assert "first" in finding.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type: pipeline\n", "`jobs` must name at least one step"),
        ("- 1\n", "`jobs` must name at least one step"),
        ("inputs: [1]\njobs: {a: {component: x}}\n", "`inputs` must be a mapping"),
        ("jobs: {a: 1}\n", "step `a` must be a mapping"),
        ("jobs: {a: {component: ./first.yml, inputs: [1]}}\n", "must be a mapping"),
    ],
)
def test_a_file_of_another_shape_is_a_finding(pipeline: Path, text: str, problem: str) -> None:
    (finding,) = inspect_pipeline(write(pipeline, text))[1]
    assert problem in finding.problem


def test_several_mistakes_are_found_at_once_and_loading_raises_them(pipeline: Path) -> None:
    edit(pipeline, "rate: 0.5", "rate: fast")
    edit(pipeline, "path: ./data.txt", "path: ./dat.txt")
    edit(pipeline.with_name("first.yml"), "code: ./code", "code: ./cod")
    with pytest.raises(InvalidFile) as caught:
        load_pipeline(pipeline)
    assert len(caught.value.findings) == 3


def test_steps_whose_names_are_no_text_are_steps(pipeline: Path) -> None:
    edit(pipeline, "  second:", "  2:")
    assert inspect_pipeline(pipeline)[1] == []


def test_an_optional_input_outside_an_optional_part_is_found(pipeline: Path) -> None:
    edit(pipeline.with_name("first.yml"), "$[[--note ${{inputs.note}}]]", "${{inputs.note}}")
    (finding,) = inspect_pipeline(pipeline)[1]
    assert "write `$[[--note ${{inputs.note}}]]`" in finding.problem


def test_inputs_are_replaced_and_paths_are_beside_the_pipeline(pipeline: Path) -> None:
    loaded = load_pipeline(pipeline)
    assert loaded.with_inputs({}) == {"data": pipeline.parent / "./data.txt", "seed": 1}
    assert loaded.with_inputs({"seed": 2, "data": "x"}) == {"data": "x", "seed": 2}


def test_an_unknown_input_is_wrong_usage(pipeline: Path) -> None:
    with pytest.raises(UsageError, match="no input `sed`; did you mean `seed`"):
        load_pipeline(pipeline).with_inputs({"sed": 2})


def test_steps_are_ordered_by_what_they_read(pipeline: Path) -> None:
    order = load_pipeline(pipeline).order()
    assert order.get_ready() == ("first",)
    order.done("first")
    assert order.get_ready() == ("second",)


def component(tmp_path: Path, command: str) -> Component:
    return Component(read_yaml(write(tmp_path / "c.yml", f"command: >-\n  {command}\n")))


def test_a_command_is_filled_and_its_optional_parts_stay_where_they_are_given(
    tmp_path: Path,
) -> None:
    text = "run ${{inputs.a}} ${{ outputs.o }} $[[--b ${{inputs.b}}]] $[[-c ${{inputs.c}}]]"
    filled = fill_command(component(tmp_path, text), {"a": "1", "c": "3"}, {"o": "out"})
    assert filled.split() == ["run", "1", "out", "-c", "3"]


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is(tmp_path: Path) -> None:
    values = {"a": "${{inputs.b}}", "b": "$[[x]]"}
    filled = fill_command(component(tmp_path, "run ${{inputs.a}} ${{inputs.b}}"), values, {})
    assert filled == "run ${{inputs.b}} $[[x]]"


def test_a_component_reads_its_code_beside_its_file(tmp_path: Path) -> None:
    assert component(tmp_path, "x").code == tmp_path.resolve()
    assert component(tmp_path, "x").is_deterministic
    assert shlex.split(component(tmp_path, "a 'b c'").command) == ["a", "b c"]


def test_the_prefix_file_names_a_component_as_azure_does(pipeline: Path) -> None:
    edit(pipeline, "./first.yml", "file:./first.yml")
    assert read_pipeline(pipeline)[1] == []
