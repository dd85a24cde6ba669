"""What waits on the disk: in order, whole, and in one process's hands."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.errors import DataError, WriteFailed
from mobilenet_chest.tracking.outbox.journal import Journal, journals, outbox_folder
from mobilenet_chest.tracking.outbox.outbox import Outbox
from mobilenet_chest.tracking.provenance import identity

RUN = "0123456789abcdef0123456789abcdef"
WRITES: list[dict[str, Any]] = [
    {"metrics": [["val_auc", 0.1 + 0.2, 1764000000000, 1], ["lr", 1e-300, 1764000000000, 1]]},
    {"tags": {"note": "ß, a\nsecond line, and \u2028"}},
    {"remove": "checkpoints/last-0.pt"},
    {"status": "FINISHED", "time": 1764000000001},
]

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("MOBILENET_CHEST_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    return Journal.of_run(RUN)


def writes(journal: Journal) -> list[Any]:
    return [waiting.write for waiting in journal.pending_writes()]


def test_in_order_and_as_they_were(journal: Journal) -> None:
    assert not journal.has_pending
    for write in WRITES:
        journal.append(write)
    assert journal.has_pending
    assert (writes(journal), journal.count()) == (WRITES, 4)
    assert [one.run_id for one in journals()] == [RUN]
    for number, waiting in enumerate(list(journal.pending_writes()), 1):
        journal.mark_sent(waiting)
        assert writes(Journal(journal.folder)) == WRITES[number:]
    journal.remove()
    assert (journal.has_pending, journals(), list(outbox_folder().iterdir())) == (False, [], [])


def test_numbers_that_are_none(journal: Journal) -> None:
    journal.append({"metrics": [["val_loss", math.nan, 1, 1], ["val_loss", -math.inf, 1, 2]]})
    (write,) = writes(journal)
    assert math.isnan(write["metrics"][0][1])
    assert write["metrics"][1][1] == -math.inf


def test_the_header_says_whose_it_is_and_no_secret(journal: Journal) -> None:
    journal.append(WRITES[0])
    header = journal.header()
    assert (header["run_id"], header["owner"], header["under"][0]) == (RUN, identity(), identity())
    assert header["store"] == "http://user:***@127.0.0.1:9"
    assert not any(b"secret" in file.read_bytes() for file in outbox_folder().rglob("*") if file.is_file())


def test_where_it_lies_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOBILENET_CHEST_SPOOL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Journal.of_run(RUN).folder.parent == tmp_path / ".mobilenet-chest" / "spool"


def test_of_a_file_that_comes_again_the_last_contents_are_kept(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "last-0.pt"
    for contents in (b"first", b"second", b"third"):
        file.write_bytes(contents)
        journal.append({"upload": "checkpoints/last-0.pt"}, file)
    kept = [path for path in (journal.folder / "files").rglob("*") if path.is_file()]
    assert kept == [journal.file("checkpoints/last-0.pt")]
    assert kept[0].read_bytes() == b"third"
    journal.append({"remove": "checkpoints/last-0.pt"})
    assert not kept[0].exists()
    assert journal.count() == 4


def test_a_line_that_was_cut_short_was_never_kept(journal: Journal) -> None:
    for write in WRITES:
        journal.append(write)
    file = journal.folder / "writes.jsonl"
    whole = file.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        file.write_bytes(whole[:size])
        assert writes(journal) == WRITES[: sum(end <= size for end in ends)]
    for size in (ends[1] + 7, ends[0], 5, 0):
        file.write_bytes(whole[:size])
        journal.append({"tags": {"after": "it"}})
        assert writes(journal) == [*WRITES[: sum(end <= size for end in ends)], {"tags": {"after": "it"}}]


def test_a_long_line_that_was_cut_short(journal: Journal) -> None:
    journal.append(WRITES[0])
    with (journal.folder / "writes.jsonl").open("ab") as file:
        file.write(b"x" * 10_000)
    journal.append(WRITES[1])
    assert writes(journal) == WRITES[:2]


def test_a_damaged_line_is_said(journal: Journal) -> None:
    journal.append(WRITES[0])
    journal.append(WRITES[1])
    file = journal.folder / "writes.jsonl"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(DataError, match=r"writes\.jsonl: damaged before byte \d+"):
        writes(journal)


def test_a_position_that_cannot_be_read_is_the_beginning(journal: Journal) -> None:
    journal.append(WRITES[0])
    journal.append(WRITES[1])
    journal.mark_sent(next(journal.pending_writes()))
    assert writes(journal) == WRITES[1:2]
    (journal.folder / "position").write_text("")
    assert writes(journal) == WRITES[:2]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").write_text("in the way")
    monkeypatch.setenv("MOBILENET_CHEST_SPOOL", str(tmp_path / "spool"))
    with pytest.raises(WriteFailed, match=r"cannot be kept in .* make room there, or set MOBILENET_CHEST_SPOOL"):
        Journal.of_run(RUN).append(WRITES[0])


APPENDING = f"""
import sys
from pathlib import Path
from mobilenet_chest.tracking.outbox.journal import Journal
journal, file = Journal.of_run("{RUN}"), Path(sys.argv[1])
for number in range(100_000):
    file.write_text(str(number) * 2000)
    journal.append({{"upload": "last.pt"}}, file)
    journal.append({{"tags": {{"number": str(number)}}}})
    print(number, flush=True)
"""


@posix
def test_killed_while_it_writes(journal: Journal, tmp_path: Path) -> None:
    """What was acknowledged is there, in order, the file is whole, and the lock is free; while it lives it is not."""
    command = [sys.executable, "-c", APPENDING, str(tmp_path / "last.pt")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    (other,) = journals()
    assert not other.acquire()
    assert Outbox().pending() == []
    time.sleep(0.0137)
    process.send_signal(signal.SIGKILL)
    acknowledged = 19 + len(process.stdout.read().splitlines())
    process.wait()
    process.stdout.close()
    assert [one.folder for one in Outbox().pending(own=True)] == [other.folder]  # this process had started it
    assert other.acquire()
    numbers = [int(write["tags"]["number"]) for write in writes(other) if "tags" in write]
    assert numbers in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))
    contents = other.file("last.pt").read_text()
    number = contents[: len(contents) // 2000]
    assert contents == number * 2000
    assert int(number) >= acknowledged
    assert json.loads((other.folder / "header.json").read_text())["owner"]["pid"] == process.pid
    other.release()
