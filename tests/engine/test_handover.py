"""What a command hands to the platform that runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops.handover import publish


def test_what_looks_like_a_variable_of_azure_devops_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    monkeypatch.setenv("TF_BUILD", "True")
    publish({"alarms": [{"body": "100 % of $(System.AccessToken)"}]})
    said = capsys.readouterr().out.strip()
    text = said.partition("]")[2].replace("%AZP25", "%")
    assert "$(" not in text
    assert json.loads(text) == [{"body": "100 % of $(System.AccessToken)"}]


def test_on_github_an_output_is_a_line_of_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    publish({"alarms": ["a\nb"], "version": "dev/7"})
    assert (tmp_path / "output").read_text("utf-8") == 'alarms=["a\\nb"]\nversion=dev/7\n'
    with pytest.raises(ValueError, match="an output is one line"):
        publish({"version": "dev/7\nalarms=[]"})
