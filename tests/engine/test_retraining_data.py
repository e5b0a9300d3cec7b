"""The rows that a retraining reads: counted, and cut to a window, whatever they lie in."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from mlops import data as acts
from mlops.contract import Contract, load_contract
from mlops.digests import digest_path
from mlops.errors import Refused, UsageError
from mlops.project import find_project
from mlops.registration import _newest
from mlops.retraining_data import Fresh, count_new, fresh_data, measure, write_window
from mlops.validation import instants
from mlops.workspaces import ModelVersion, open_workspace

from .builders import contract, edit, frame

TIMED = contract({"x": {"type": "number"}, "day": {"type": "timestamp"}}, timestamp="day")
PLAIN = contract()
KINDS = ("parquet", "csv")


def days(*numbers: int) -> list[str]:
    """Days of January 2026; 0 is no day."""
    return [f"2026-01-{number:02}T12:00:00" if number else "" for number in numbers]


def table(*numbers: int) -> pd.DataFrame:
    """A row for each day; the third has no label."""
    labels = ["yes" if place != 2 else None for place in range(len(numbers))]
    times = [text or None for text in days(*numbers)]
    return frame(x=[float(n) for n in numbers], day=times, label=labels)


def fresh(
    folder: Path, *tables: pd.DataFrame, kind: str = "parquet", name: str = "rows:1"
) -> Fresh:
    files = {}
    for number, rows in enumerate(tables):
        file = folder / f"{number}.{kind}"
        rows.to_csv(file, index=False) if kind == "csv" else rows.to_parquet(file, index=False)
        files[file.name] = partial(file.open, "rb")
    return Fresh(name, None, len(tables) > 1, files)  # type: ignore[arg-type]


def trained(**tags: str) -> ModelVersion:
    return ModelVersion("m", 7, "dev", "run", "", tags)


def utc(day: int) -> datetime:
    return datetime(2026, 1, day, 12, tzinfo=timezone.utc)


# --- counting


@pytest.mark.parametrize("kind", KINDS)
def test_labelled_rows_are_counted_and_those_after_a_time(tmp_path: Path, kind: str) -> None:
    rows = fresh(tmp_path, table(1, 2, 3, 4), table(5, 0), kind=kind)
    found = measure(rows, TIMED, utc(1))
    assert (found.rows, found.newer, found.newest) == (5, 3, utc(5))
    assert measure(rows, TIMED).newer is None


def test_times_with_zones_and_of_other_types_are_the_same_times(tmp_path: Path) -> None:
    texts = ["2026-01-02T13:00:00+02:00", "2026-01-02T12:00:00Z", "2026-01-02T12:00:00.5"]
    zoned = frame(x=[1.0] * 3, day=texts, label=["no"] * 3)
    assert measure(fresh(tmp_path, zoned), TIMED, utc(2)).newer == 1
    typed = zoned.assign(day=instants(zoned["day"]).dt.tz_localize("UTC"))
    assert measure(fresh(tmp_path, typed), TIMED, utc(2)).newer == 1


def test_a_table_without_a_time_has_only_a_number_of_rows(tmp_path: Path) -> None:
    found = measure(fresh(tmp_path, table(1, 2).drop(columns="day")), TIMED, utc(1))
    assert (found.rows, found.newer, found.newest) == (2, None, None)


def test_no_table_and_one_without_a_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no column label"):
        measure(fresh(tmp_path, table(1).drop(columns="label")), PLAIN)
    (tmp_path / "0.parquet").write_bytes(b"nothing")
    broken = Fresh("n", None, False, {"0.parquet": partial((tmp_path / "0.parquet").open, "rb")})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="this is not a readable table"):
        measure(broken, PLAIN)


@pytest.mark.parametrize(
    ("rules", "tags", "count", "detail"),
    [
        (TIMED, {"data_until": "2026-01-03T12:00:00+00:00"}, 2, "after 2026-01-03T12:00:00+00:00, by `day`"),
        (TIMED, {"data_until": "2026-01-09T00:00:00+00:00", "data_rows": "1"}, 0, "by `day`"),
        # Without a time: by the number of rows, unless it was that of a window.
        (PLAIN, {"data_rows": "3"}, 1, "4 less 3"),
        (PLAIN, {"data_rows": "9"}, 0, "4 less 9"),
        (PLAIN, {"data_rows": "3", "data_window": "a year"}, None, "not recorded"),
        (PLAIN, {"data_digest": "rows:1"}, 0, "the data has not changed"),
        (PLAIN, {"data_digest": "rows:2"}, None, "what dev/7 was trained on is not recorded"),
        (PLAIN, {"data_digest": "rows:1", "data_window": "a year"}, None, "not recorded"),
        (PLAIN, {}, None, "not recorded"),
    ],
)  # fmt: skip
def test_new_are_the_rows_that_the_model_in_use_has_not_seen(
    tmp_path: Path, rules: Contract, tags: dict[str, str], count: int | None, detail: str
) -> None:
    rows, measured = count_new(fresh(tmp_path, table(1, 2, 3, 4, 5)), rules, trained(**tags), None)
    assert rows.count == count
    assert detail in rows.detail
    assert (rows.since_last, measured.rows) == (None, 4)


def test_rows_since_the_last_retraining_are_counted_by_their_number(tmp_path: Path) -> None:
    for at_last, since in ((1, 3), (4, 0), (9, 0)):
        rows, _ = count_new(fresh(tmp_path, table(1, 2, 3, 4, 5)), PLAIN, trained(), at_last)
        assert rows.since_last == since
    rows, _ = count_new(fresh(tmp_path, table(1)), PLAIN, None, None)
    assert (rows.count, rows.detail) == (
        None,
        "what the model in use was trained on is not recorded",
    )


# --- the window


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tables", [1, 2])
def test_the_window_holds_the_rows_of_the_last_days_as_they_are(
    tmp_path: Path, kind: str, tables: int
) -> None:
    parts = [table(1, 8, 9, 0), table(10, 7, 6)][:tables]
    rows = fresh(tmp_path, *parts, kind=kind)
    newest = 10 if tables == 2 else 9
    window = write_window(rows, TIMED, 2, tmp_path / "window")
    assert (window.start, window.end) == (utc(newest - 2), utc(newest))
    assert window.path.is_dir() is (tables == 2)
    (file,) = (tmp_path / "window").rglob(f"*.{kind}")
    read = pd.read_csv(file) if kind == "csv" else pd.read_parquet(file)
    whole = pd.concat(parts)
    expected = whole[whole["x"].isin(range(newest - 2, newest + 1))]
    for name in whole.columns:
        assert read[name].fillna("").to_list() == expected[name].fillna("").to_list()
    assert window.rows == len(expected)


def test_the_same_rows_give_the_same_bytes_and_an_older_window_goes(tmp_path: Path) -> None:
    rows = fresh(tmp_path, table(1, 2, 3))
    first = digest_path(write_window(rows, TIMED, 1, tmp_path / "w").path)
    assert digest_path(write_window(rows, TIMED, 1, tmp_path / "w").path) == first
    other = write_window(rows, TIMED, 0.5, tmp_path / "w").path
    assert list((tmp_path / "w").iterdir()) == [other]


def test_there_is_no_window_without_times(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no row has a `day`"):
        write_window(fresh(tmp_path, table(0, 0)), TIMED, 2, tmp_path / "w")
    with pytest.raises(UsageError, match="needs a column that"):
        write_window(fresh(tmp_path, table(1)), PLAIN, 2, tmp_path / "w")
    with pytest.raises(UsageError, match="needs a column"):
        write_window(fresh(tmp_path, table(1).drop(columns="day")), TIMED, 2, tmp_path / "w")
    unlike = fresh(tmp_path, table(1), table(2).assign(more=1))
    with pytest.raises(UsageError, match="have other columns each"):
        write_window(unlike, TIMED, 2, tmp_path / "w")


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        whole = frame(x=[1.0] * count, label=["no"] * count)
        whole["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(range(count), "min")
        rows = fresh(tmp_path, whole)
        measure(rows, TIMED, utc(1))  # what is imported once
        tracemalloc.start()
        write_window(rows, TIMED, 100, tmp_path / "w")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(600_000) < 1.5 * peak(100_000)


# --- where the rows lie


def test_fresh_data_is_the_newest_registered_version_or_the_pipelines_own_table(
    project: Path,
) -> None:
    found = find_project(project)
    dev = open_workspace(found, "dev")
    own = fresh_data(found, dev)
    assert (own.version, own.name) == (None, digest_path(project / "data" / "sample.parquet"))
    assert list(own.tables) == ["sample.parquet"]
    push = acts.push(found, dev, project / "data" / "sample.parquet", "training", report=print)
    assert push.registration.is_new
    registered = fresh_data(found, dev)
    assert registered.name == f"training:{push.registration.version.version}"
    assert list(registered.tables) == ["training.parquet"]
    rules = load_contract(found.contract)
    assert measure(registered, rules).rows == measure(own, rules).rows == 569


def test_a_folder_is_read_as_its_tables_and_needs_some(project: Path) -> None:
    edit(project / "pipelines" / "training.yml", "../data/sample.parquet", "../data")
    found = find_project(project)
    data = fresh_data(found, open_workspace(found, "dev"))
    assert data.is_folder
    assert list(data.tables) == ["sample.parquet"]
    edit(project / "pipelines" / "training.yml", "path: ../data\n", "path: ../docs\n")
    with pytest.raises(UsageError, match="there is no table"):
        fresh_data(found, open_workspace(found, "dev"))


def test_a_version_remembers_the_time_of_its_newest_row(tmp_path: Path) -> None:
    times = pd.to_datetime(["2026-01-01T00:00:00.0", "2026-01-02T00:00:00.0000001", None])
    frame(day=times[[0, 2]]).to_parquet(tmp_path / "train.parquet")
    frame(day=times[[1]]).to_parquet(tmp_path / "held_out.parquet")
    assert _newest(tmp_path, TIMED) == "2026-01-02T00:00:00.000001+00:00"
    assert _newest(tmp_path, PLAIN) == ""
    frame(day=times[[2]]).to_parquet(tmp_path / "held_out.parquet")
    frame(x=[1]).to_parquet(tmp_path / "train.parquet")
    assert _newest(tmp_path, TIMED) == ""
