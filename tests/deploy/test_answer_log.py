"""What was taken is on the disk, and is read once, whatever became of its writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mobilenet_chest.deploy import answer_log
from mobilenet_chest.deploy.answer_log import AnswerLog, read, recover
from mobilenet_chest.deploy.answer_rows import Row, picture_statistics
from mobilenet_chest.errors import DataError, WriteFailed

START = datetime(2026, 1, 2, tzinfo=UTC)
PICTURE = picture_statistics(np.full((4, 4), 7, np.uint8))
SECONDS = 20.0


def row(number: int) -> Row:
    return Row(
        START + timedelta(seconds=number), f"r{number}", 0, "p", "films", "1", "champion", 0.7, 0.6, 1, 0.5, PICTURE
    )


def append(log: AnswerLog, *numbers: int) -> None:
    log.append([row(number) for number in numbers]).result(SECONDS)


def requests(folder: Path, since: datetime | None = None) -> list[str]:
    return read("films", since, folder)["request"].tolist()


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in (folder / "films").iterdir())


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AnswerLog]:
    log = AnswerLog("films", tmp_path)
    yield log
    log.close()


def test_rows_are_read_while_the_log_is_open_and_afterwards(tmp_path: Path) -> None:
    log = AnswerLog("films", tmp_path)
    append(log, 1, 2)
    append(log, 0)
    assert requests(tmp_path) == ["r0", "r1", "r2"]
    log.close()
    assert files(tmp_path) == [".parquet"]
    assert requests(tmp_path) == ["r0", "r1", "r2"]
    assert requests(tmp_path, START + timedelta(seconds=1)) == ["r1", "r2"]


def test_a_full_journal_becomes_a_segment(log: AnswerLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_log, "SEGMENT_ROWS", 2)
    for number in range(5):
        append(log, number)
    log.close()
    assert files(tmp_path) == [".parquet"] * 3
    assert requests(tmp_path) == ["r0", "r1", "r2", "r3", "r4"]


def test_an_old_journal_becomes_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_log, "SEGMENT_SECONDS", 0.0)
    log = AnswerLog("films", tmp_path)
    append(log, 0)
    append(log, 1)
    log.close()
    assert files(tmp_path) == [".parquet"] * 2


def test_what_a_killed_writer_left_is_read_and_then_made_a_segment(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    append(AnswerLog("films", tmp_path), 0, 1)  # never closed
    (journal,) = folder.glob("*.journal")
    left = journal.with_name("20260101T000000-dead-0.journal")
    left.write_bytes(journal.read_bytes()[:-20])
    (folder / "dead.lock").touch()
    assert requests(tmp_path) == ["r0", "r0", "r1"]
    assert recover(folder) == 1
    assert not left.exists()
    assert left.with_suffix(".parquet").exists()
    assert journal.exists()  # of a writer that lives
    assert requests(tmp_path) == ["r0", "r0", "r1"]


def test_a_journal_that_has_become_a_segment_is_not_read_twice(log: AnswerLog, tmp_path: Path) -> None:
    append(log, 0)
    (journal,) = (tmp_path / "films").glob("*.journal")
    contents = journal.read_bytes()
    log.close()
    journal.write_bytes(contents)  # killed between the two
    assert requests(tmp_path) == ["r0"]


def test_several_writers_share_a_folder(log: AnswerLog, tmp_path: Path) -> None:
    other = AnswerLog("films", tmp_path)
    append(log, 0)
    append(other, 1)
    other.close()
    assert requests(tmp_path) == ["r0", "r1"]


def test_rows_that_a_full_disk_refuses_are_told_and_leave_nothing(
    log: AnswerLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, 0)
    with monkeypatch.context() as patch:

        def full(file: int, contents: memoryview) -> None:
            os.write(file, contents[:10])
            raise OSError(28, "No space left on device")

        patch.setattr(answer_log, "_write_all", full)
        with pytest.raises(WriteFailed, match="No space left"):
            append(log, 1)
    append(log, 2)
    assert requests(tmp_path) == ["r0", "r2"]


def test_who_stops_waiting_stops_nobody(log: AnswerLog, tmp_path: Path) -> None:
    assert not log.append([row(0)]).cancel()
    append(log, 1)
    assert requests(tmp_path) == ["r0", "r1"]


def test_a_closed_log_takes_no_rows(tmp_path: Path) -> None:
    log = AnswerLog("films", tmp_path)
    log.close()
    with pytest.raises(WriteFailed):
        append(log, 0)
    assert list((tmp_path / "films").iterdir()) == []


def test_files_are_for_their_owner_alone(log: AnswerLog, tmp_path: Path) -> None:
    append(log, 0)
    (journal,) = (tmp_path / "films").glob("*.journal")
    assert journal.stat().st_mode & 0o077 == 0
    assert journal.parent.stat().st_mode & 0o077 == 0


def test_what_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="other"):
        read("films", None, tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.parquet").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"a\.parquet"):
        read("films", None, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="--log-dir"):
        AnswerLog("films", tmp_path / "file")


def test_a_value_that_cannot_be_held_fails_its_rows_alone(log: AnswerLog, tmp_path: Path) -> None:
    bad = replace(row(0), version=b"1")  # type: ignore[arg-type]
    with pytest.raises(WriteFailed, match="bytes"):
        log.append([row(1), bad]).result(SECONDS)
    append(log, 2)
    assert requests(tmp_path) == ["r2"]
