"""Damaged and forged files: each is refused with a clear error, and never gives other pixels."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.npz_files import arrays, npy_bytes, npy_header, packed, refusal, save_to, with_train
from numpy.typing import NDArray

from mobilenet_chest.data import npz, npz_archive
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError

Save = Callable[..., None]
Arrays = dict[str, NDArray[Any]]


def test_no_such_file(tmp_path: Path) -> None:
    message = refusal(lambda: NpzFile(tmp_path / "no.npz"))
    assert message.startswith(f"{tmp_path / 'no.npz'} does not exist; set data.path")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(lambda: NpzFile(tmp_path)).startswith(f"{tmp_path} cannot be opened (Is a directory); set data.path")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", npy_bytes(np.zeros(3))])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    message = refusal(lambda: NpzFile(path))
    assert message == f"{path}: it cannot be read as .npz (File is not a zip file); {npz_archive.MEND}"


def test_missing_keys_are_named_with_those_there(tmp_path: Path) -> None:
    made = arrays()
    del made["val_labels"], made["test_images"], made["test_labels"]
    path = tmp_path / "set.npz"
    save_to(path, made | {"extra": np.zeros(2)})
    file = NpzFile(path)
    assert file.splits == ("train",)
    expected = "(it has: extra, train_images, train_labels, val_images)"
    for call in (lambda: file.labels("val"), lambda: file.rows("val", np.array([0]))):
        assert f"{path} has no 'val_labels' {expected}" in refusal(call)
    assert f"{path} has no 'test_images' {expected}" in refusal(lambda: file.labels("test"))
    assert "(it has: nothing)" in refusal(lambda: NpzFile(io.BytesIO(packed({}))).labels("train"))


class Bomb:
    """Unpickling this would raise an error of its own, which is not a DataError."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize("key", ["train_images", "train_labels"])
def test_objects_are_refused_before_unpickling(key: str) -> None:
    members = {
        "train_images.npy": npy_bytes(np.zeros((1, 5, 5), np.uint8)),
        "train_labels.npy": npy_bytes(np.zeros((1, 1), np.uint8)),
    }
    shape = "(1, 5, 5)" if key == "train_images" else "(1, 1)"
    header = npy_header("{'descr': '|O', 'fortran_order': False, 'shape': " + shape + "}\n")
    members[f"{key}.npy"] = header + pickle.dumps([Bomb()])
    file = NpzFile(io.BytesIO(packed(members)))
    for call in (lambda: file.labels("train"), lambda: file.rows("train", np.array([0]))):
        assert f"'{key}' has Python objects (a pickle, which is never opened), not numbers" in refusal(call)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5, 5), np.float32), "values of type float32, not uint8"),
        (np.zeros((4, 5, 5), np.int8), "values of type int8, not uint8"),
        (np.zeros((4, 5, 5), [("a", np.uint8)]), "not uint8"),
        (np.zeros((4, 5), np.uint8), "images of shape (4, 5), not (n, h, w) or (n, h, w, 3)"),
        (np.zeros((4, 5, 5, 1), np.uint8), "images of shape (4, 5, 5, 1)"),
        (np.zeros((4, 5, 5, 5, 3), np.uint8), "images of shape (4, 5, 5, 5, 3)"),
        (np.zeros((4, 0, 5), np.uint8), "images of shape (4, 0, 5)"),
        (np.uint8(3), "images of shape ()"),
        (np.asfortranarray(np.zeros((4, 5, 5), np.uint8)), "Fortran order"),
        (np.zeros((3, 5, 5), np.uint8), "'train_labels' has 4 rows, but 'train_images' has 3"),
    ],
)
def test_images_of_another_layout(array: NDArray[Any], words: str) -> None:
    file = with_train(npy_bytes(array))
    for call in (lambda: file.labels("train"), lambda: file.rows("train", np.array([0]))):
        message = refusal(call)
        assert words in message
        assert message.startswith("the given file: 'train_")
        assert message.endswith(npz_archive.MEND)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 2)), "values of type float64, not integers"),
        (np.full((4, 2), "yes"), "texts of shape (4, 2)"),
        (np.zeros((4, 2), "m8[s]"), "not integers"),
        (np.zeros((4, 2, 1), np.uint8), "labels of shape (4, 2, 1), not (n, k)"),
        (np.zeros((4, 0), np.uint8), "labels of shape (4, 0), not (n, k)"),
        (np.uint8(1), "labels of shape (), not (n, k)"),
        (np.asfortranarray(np.zeros((4, 2), np.uint8)), "Fortran order"),
        (np.array([0, 1, 2, 256]), "labels from 0 to 256, not within 0..255"),
        (np.array([0, 1, 2, -1]), "labels from -1 to 2, not within 0..255"),
        (np.array([0, 1, 2, 2**64 - 1], np.uint64), "labels from 0 to 18446744073709551615"),
        (np.zeros((5, 2), np.uint8), "5 rows, but 'train_images' has 4"),
    ],
)
def test_labels_of_another_layout(array: NDArray[Any], words: str) -> None:
    file = with_train(npy_bytes(np.zeros((4, 5, 5), np.uint8)), npy_bytes(array))
    message = refusal(lambda: file.labels("train"))
    assert message.startswith("the given file: 'train_labels' has ")
    assert words in message


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 5, 5)}\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a .npy header that numpy does not understand"),
        (b"\x93NUMPY\x01", "a .npy header that numpy does not understand"),
        (b"\x93NUMPY\x03\x00" + b"\x10\0\0\0" + b" " * 16, "a .npy header that numpy does not understand"),
        (b"GIF89a" + bytes(200), "a .npy header that numpy does not understand"),
        (npy_header(GOOD)[:30], "a .npy header that numpy does not understand"),
        (npy_header("{" * 5000), "a .npy header that numpy does not understand"),
        (npy_header("(" * 90 + ")" * 90), "a .npy header that numpy does not understand"),
        (npy_header("1 " * 30), "a .npy header that numpy does not understand"),
        (npy_header(GOOD.replace("|u1", "nonsense")), "a .npy header that numpy does not understand"),
        (npy_header(GOOD.replace("4", "4.5")), "a .npy header that numpy does not understand"),
        (npy_header(" " * 12_000 + GOOD, (2, 0)), "a .npy header that numpy does not understand"),
        (b"\x93NUMPY\x02\x00" + b"\xff" * 4 + bytes(40_000), "a .npy header that numpy does not understand"),
        (npy_header(GOOD.replace("4", "-4")) + bytes(100), "100 bytes, but its header (-4, 5, 5) of uint8 claims -100"),
        (npy_header(GOOD.replace("4", str(10**12))) + bytes(100), "100 bytes, but its header (1000000000000, 5, 5)"),
        (npy_header(GOOD) + bytes(99), "99 bytes, but its header (4, 5, 5) of uint8 claims 100"),
        (npy_header(GOOD) + bytes(101), "101 bytes, but its header (4, 5, 5) of uint8 claims 100"),
    ],
)
def test_absurd_headers(content: bytes, words: str) -> None:
    file = with_train(content)
    for call in (lambda: file.labels("train"), lambda: file.rows("train", np.array([0]))):
        message = refusal(call)
        assert message.startswith("the given file: 'train_images' has ")
        assert words in message


def test_a_version_2_header_is_read() -> None:
    file = with_train(npy_header(GOOD, (2, 0)) + bytes(range(100)))
    assert file.rows("train", np.array([1])).ravel().tolist() == list(range(25, 50))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(compression: int) -> None:
    file = with_train(npy_bytes(np.zeros((4, 5, 5), np.uint8)), compression=compression)
    assert "'train_images' has a zip compression of type" in refusal(lambda: file.labels("train"))


@pytest.mark.parametrize("wanted", [[4], [-1], [0, 1, 99]])
def test_rows_out_of_range(wanted: list[int]) -> None:
    file = with_train(npy_bytes(np.zeros((4, 5, 5), np.uint8)))
    message = refusal(lambda: file.rows("train", np.array(wanted)))
    assert f"'train_images' has 4 rows, but rows {min(wanted)} to {max(wanted)} are asked for" in message


def noise_file(save: Save) -> tuple[bytes, Arrays]:
    made = arrays(rows=6, shape=(12, 12), width=2)
    buffer = io.BytesIO()
    save_to(buffer, made, save)
    return buffer.getvalue(), made


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_anywhere(tmp_path: Path, save: Save) -> None:
    content, _ = noise_file(save)
    path = tmp_path / "set.npz"
    for kept in [0, 1, 3, 4, 30, *range(100, len(content), 211), len(content) - 1]:
        path.write_bytes(content[:kept])
        assert str(path) in refusal(lambda: NpzFile(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_hole_in_the_file(save: Save) -> None:
    # The directory at the end is whole, but bytes before it are gone: members start elsewhere or end early.
    content, _ = noise_file(save)
    for where in (0, 40, 200, 500, 1200, 2000):
        damaged = content[:where] + content[where + 64 :]

        def read(damaged: bytes = damaged) -> None:
            file = NpzFile(io.BytesIO(damaged))
            for split in npz.SPLITS:
                file.labels(split)
                file.rows(split, np.arange(6))

        assert npz_archive.MEND in refusal(read)


def test_pixels_that_do_not_fit_the_crc_are_found_beyond_the_wanted_rows() -> None:
    content, made = noise_file(np.savez)
    last_row = made["train_images"][-1].tobytes()
    where = content.index(last_row)
    damaged = content[: where + 5] + bytes([content[where + 5] ^ 1]) + content[where + 6 :]
    file = NpzFile(io.BytesIO(damaged))
    message = refusal(lambda: file.rows("train", np.array([0])))
    assert message.startswith("the given file: 'train_images' cannot be read as .npz (Bad CRC-32")
    # The other members are whole.
    np.testing.assert_array_equal(file.labels("val"), made["val_labels"])
    np.testing.assert_array_equal(file.rows("val", np.array([3])), made["val_images"][[3]])


def test_a_compressed_member_that_ends_early() -> None:
    # The directory tells fewer compressed bytes than there are: the decompressor runs dry.
    content, made = noise_file(np.savez_compressed)
    damaged = bytearray(content)
    entry = content.index(b"PK\x01\x02")  # the first member of the central directory, train_images
    compressed = struct.unpack_from("<I", content, entry + 20)[0]
    struct.pack_into("<I", damaged, entry + 20, compressed - 200)
    message = refusal(lambda: NpzFile(io.BytesIO(bytes(damaged))).rows("train", np.array([0])))
    assert "'train_images' cannot be read as .npz" in message
    assert made["train_images"].nbytes < compressed + 500  # noise, so that those 200 bytes do hold pixels


def test_a_member_that_is_shorter_than_the_directory_says() -> None:
    # The CRC is that of the bytes there are, so that nothing but their number is wrong.
    labels = npy_bytes(np.zeros(8, np.uint8))
    content = bytearray(
        packed({"train_images.npy": npy_header(GOOD.replace("4", "8")) + bytes(100), "train_labels.npy": labels})
    )
    entry = content.index(b"PK\x01\x02")
    size = struct.unpack_from("<I", content, entry + 24)[0]
    struct.pack_into("<I", content, entry + 24, size + 100)
    message = refusal(lambda: NpzFile(io.BytesIO(bytes(content))).rows("train", np.array([0])))
    assert "'train_images' cannot be read as .npz (the data end 100 bytes too early)" in message


def test_a_size_that_deflate_cannot_reach() -> None:
    header = npy_header(GOOD.replace("4", str(10**9)))
    content = bytearray(packed({"train_images.npy": header, "train_labels.npy": npy_bytes(np.zeros(10**3))}))
    entry = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 2**32 - 2)
    file = NpzFile(io.BytesIO(bytes(content)))
    assert "claims 25000000000" in refusal(lambda: file.labels("train"))
    header = npy_header(GOOD.replace("4", str(10**8)))
    content = bytearray(packed({"train_images.npy": header, "train_labels.npy": npy_bytes(np.zeros(10**3))}))
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 25 * 10**8 + len(header))
    file = NpzFile(io.BytesIO(bytes(content)))
    assert "bytes that claim to unpack to 25000000" in refusal(lambda: file.labels("train"))


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # numpy's, for a flipped bit that looks like Python 2
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bits_never_give_other_pixels(save: Save) -> None:
    content, made = noise_file(save)
    rng = random.Random(11)
    refusals = []
    for _ in range(600):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            file = NpzFile(io.BytesIO(bytes(damaged)))
            for split in npz.SPLITS:
                labels, images = file.labels(split), file.rows(split, np.arange(len(made[f"{split}_labels"])))
                np.testing.assert_array_equal(labels, made[f"{split}_labels"])
                np.testing.assert_array_equal(images, made[f"{split}_images"])
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 300
    assert not any("\n" in message for message in refusals)
