"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mobilenet_chest import files
from mobilenet_chest.files import copy_whole, sync_file, sync_folder, whole_file, write_whole


@pytest.mark.parametrize(
    ("contents", "stored"), [(b"new", b"new"), (memoryview(b"new"), b"new"), ("schön\n", "schön\n".encode()), ("", b"")]
)
def test_written_in_place_of_the_old_file(tmp_path: Path, contents: bytes | memoryview | str, stored: bytes) -> None:
    path = tmp_path / "file.json"
    for _ in range(2):
        write_whole(path, contents)
        assert path.read_bytes() == stored
        assert list(tmp_path.iterdir()) == [path]


def test_the_new_contents_are_not_there_before_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        assert {child.name for child in tmp_path.iterdir()} == {"file", "file.part"}
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("old", [b"old", None])
def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path, error: BaseException, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)

    def write() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    assert raised.value is error
    assert {child.name: child.read_bytes() for child in tmp_path.iterdir()} == ({} if old is None else {"file": old})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"a long piece of the file before")
    write_whole(tmp_path / "file", b"new")
    assert {child.name: child.read_bytes() for child in tmp_path.iterdir()} == {"file": b"new"}


def test_on_the_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a power failure at any moment asks for: contents, name, folder."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "contents")
        fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        order.append("name")
        return replace(self, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_whole(tmp_path / "file", b"new")
    assert order == (["contents", "name", "folder"] if os.name == "posix" else ["contents", "name"])


def test_contents_that_the_disk_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", b"new")
    assert {child.name: child.read_bytes() for child in tmp_path.iterdir()} == {"file": b"old"}
    with whole_file(tmp_path / "file", synced=False) as file:
        file.write(b"not waited for")
    assert (tmp_path / "file").read_bytes() == b"not waited for"


def test_a_copy_makes_its_folders(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "a" / "b" / "target"
    source.write_bytes(os.urandom(3 << 20))
    for _ in range(2):
        copy_whole(source, target)
        assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]


def test_a_copy_of_nothing_leaves_the_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        copy_whole(tmp_path / "none", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"old"


def test_syncing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"contents")
    sync_file(path)
    sync_folder(tmp_path)
    assert path.read_bytes() == b"contents"


WRITER = """
import sys
from pathlib import Path
from mobilenet_chest.files import whole_file

print("here", flush=True)
while True:
    for letter in b"ab":
        with whole_file(Path(sys.argv[1])) as file:
            for _ in range(100):
                file.write(bytes([letter]) * 1000)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    path, moments = tmp_path / "file", random.Random(1)
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.01, 0.1))
        process.kill()
        process.communicate()
        assert not path.exists() or path.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert path.exists()
