from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from mlops.documents import Document, InvalidFile, Settings, did_you_mean, read_yaml, validate
from mlops.errors import UsageError

from .builders import write


class Inner(Settings):
    margin: float
    metric: str = "f1"


class Outer(Settings):
    name: str
    inner: Inner
    parts: dict[str, Inner] = Field(default={})
    rows: tuple[Inner, ...] = ()


def read(tmp_path: Path, text: str) -> Document:
    return read_yaml(write(tmp_path / "settings.yml", text))


def findings_of(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(InvalidFile) as caught:
        validate(read(tmp_path, text), Outer)
    return [(finding.line, finding.problem) for finding in caught.value.findings]


def test_each_key_and_item_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "# first\na:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert document.line("a") == 2
    assert document.line("a", "b") == 3
    assert document.line("a", "c", 1) == 6
    assert document.line("a", "c", 1, "d") == 6


def test_a_missing_key_has_the_line_of_what_should_hold_it(tmp_path: Path) -> None:
    document = read(tmp_path, "x: 1\na:\n  b: 1\n")
    assert document.line("a", "nothing", "below") == 2
    assert document.line("nothing") == 1


def test_a_finding_names_the_file_as_seen_from_the_root(tmp_path: Path) -> None:
    finding = read(tmp_path, "a: 1\nb: 2\n").finding("is wrong", "b")
    assert finding.show(tmp_path) == "settings.yml:2: is wrong"
    assert finding.show() == f"{tmp_path}/settings.yml:2: is wrong"


def test_every_key_that_stands_twice_is_found(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert [(f.line, f.problem) for f in caught.value.findings] == [
        (4, "`c` stands here twice"),
        (5, "`a` stands here twice"),
    ]


def test_the_same_key_in_two_places_is_no_duplicate(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {k: 1}\nb: {k: 2}\n").data == {"a": {"k": 1}, "b": {"k": 2}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\nb: !unknown 2\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ('a: "\x00"\n', 1),
        ("when: 2024-13-45\n", 1),
        ("&loop [*loop]\n", 1),
    ],
)
def test_broken_yaml_is_a_finding_with_a_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InvalidFile, match="not YAML") as caught:
        read(tmp_path, text)
    assert [finding.line for finding in caught.value.findings] == [line]


def test_a_file_that_is_not_utf8_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes("a: é".encode("latin-1"))
    with pytest.raises(InvalidFile, match=r"latin.yml:1: the file is not UTF-8"):
        read_yaml(tmp_path / "latin.yml")


def test_a_missing_file_is_a_finding_and_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"none.yml:1: the file is missing") as caught:
        read_yaml(tmp_path / "none.yml")
    assert isinstance(caught.value, UsageError)
    assert caught.value.exit_status == 2


def test_a_folder_in_place_of_a_file_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read"):
        read_yaml(tmp_path)


def test_an_empty_file_is_no_mapping(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing\n").data is None
    assert findings_of(tmp_path, "") == [(1, "the file must be a mapping of `key: value` lines")]


def test_an_unknown_setting_gets_the_name_that_was_meant(tmp_path: Path) -> None:
    found = findings_of(tmp_path, "name: a\ninner:\n  margin: 1\n  metrik: f1\n")
    assert found == [(4, "`inner.metrik` is not a setting; did you mean `metric`?")]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("parts: {p: {margin: 1, margn: 2}}", "parts.p.margn"),
        ("rows: [{margin: 1, margn: 2}]", "rows.0.margn"),
    ],
)
def test_the_meant_name_is_found_inside_mappings_and_lists(
    tmp_path: Path, text: str, where: str
) -> None:
    found = findings_of(tmp_path, f"name: a\ninner: {{margin: 1}}\n{text}\n")
    assert found == [(3, f"`{where}` is not a setting; did you mean `margin`?")]


def test_a_missing_setting_is_found_where_it_should_stand(tmp_path: Path) -> None:
    found = findings_of(tmp_path, "name: a\ninner:\n  metric: f1\n")
    assert found == [(2, "`inner.margin` is missing")]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    found = findings_of(tmp_path, "naem: a\ninner:\n  margin: wide\n  metric: f1\nother: 1\n")
    assert {(line, problem.split("`")[1]) for line, problem in found} == {
        (1, "name"), (1, "naem"), (3, "inner.margin"), (5, "other"),
    }  # fmt: skip
    assert any("not 'wide'" in problem for _, problem in found)


def test_settings_do_not_change_after_reading(tmp_path: Path) -> None:
    settings = validate(read(tmp_path, "name: a\ninner: {margin: 1}\n"), Outer)
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "b"  # type: ignore[misc]


def test_without_a_close_name_all_names_are_listed() -> None:
    assert did_you_mean("zzz", ["beta", "alpha"]) == "; write one of alpha, beta"
    assert did_you_mean("zzz", []) == ""
