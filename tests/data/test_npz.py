"""The streaming reader of MedMNIST files: the same rows as numpy's, in less memory, and no damage let through."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.data import npz
from mobilenet_chest.data.medmnist import class_indices, dataset_info, select_rows
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError

Save = Callable[..., None]
Arrays = dict[str, NDArray[Any]]


def arrays(rows: int = 50, shape: tuple[int, ...] = (28, 28), width: int = 14) -> Arrays:
    """Noise images and flags for the three splits, of ``rows``, ``rows`` + 1 and ``rows`` + 2 rows."""
    rng = np.random.default_rng(7)
    made: Arrays = {}
    for extra, split in enumerate(npz.SPLITS):
        made[f"{split}_images"] = rng.integers(0, 256, (rows + extra, *shape), dtype=np.uint8)
        made[f"{split}_labels"] = rng.integers(0, 2, (rows + extra, width), dtype=np.uint8)
    return made


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of members given as raw bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def save_to(target: Path | io.BytesIO, made: Arrays, save: Save = np.savez) -> None:
    save(target, **made)


def npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1")


def with_train(images: bytes, labels: bytes | None = None, compression: int = zipfile.ZIP_DEFLATED) -> NpzFile:
    if labels is None:
        labels = npy_bytes(np.zeros((4, 1), np.uint8))
    members = {"train_images.npy": images, "train_labels.npy": labels}
    return NpzFile(io.BytesIO(packed(members, compression)))


def refusal(call: Callable[[], object]) -> str:
    """The message of the DataError that a call raises: one line that ends with a next step."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message or ": " in message
    return message


# --- right files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(28, 28), (9, 31), (16, 16, 3)])
def test_rows_equal_numpys(tmp_path: Path, save: Save, shape: tuple[int, ...]) -> None:
    made = arrays(shape=shape)
    path = tmp_path / "set.npz"
    save_to(path, made, save)
    file = NpzFile(path)
    assert file.splits == ("train", "val", "test")
    rng = np.random.default_rng(0)
    with np.load(path) as expected:
        for split in file.splits:
            images = expected[f"{split}_images"]
            every = np.arange(len(images))
            for wanted in (every, every[:0], every[-1:], every[::7], rng.permutation(every)[:20], every[[3, 3, 1]]):
                found = file.rows(split, wanted)
                assert found.dtype == np.uint8
                assert found.shape == (len(wanted), *shape)
                np.testing.assert_array_equal(found, images[wanted])
            np.testing.assert_array_equal(file.labels(split), expected[f"{split}_labels"])


@pytest.mark.parametrize("chunk_bytes", [1, 784, 785, 784 * 7, 784 * 50, 1 << 20])
def test_rows_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    made = arrays()
    buffer = io.BytesIO()
    save_to(buffer, made, np.savez_compressed)
    monkeypatch.setattr(npz, "CHUNK_BYTES", chunk_bytes)
    wanted = np.array([49, 0, 6, 7, 8, 14, 48])
    np.testing.assert_array_equal(NpzFile(buffer).rows("train", wanted), made["train_images"][wanted])


def test_a_file_object_is_read_and_left_open(tmp_path: Path) -> None:
    made = arrays()
    path = tmp_path / "set.npz"
    save_to(path, made)
    with path.open("rb") as handle:
        file = NpzFile(handle)
        np.testing.assert_array_equal(file.labels("val"), made["val_labels"])
        np.testing.assert_array_equal(file.rows("val", np.array([2])), made["val_images"][[2]])
        assert not handle.closed
        assert file.name == str(path)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "<i8", ">i4", "uint64"])
def test_labels_of_any_integer_type_become_uint8(dtype: str) -> None:
    labels = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    file = with_train(npy_bytes(np.zeros((4, 5, 5), np.uint8)), npy_bytes(labels.astype(dtype)))
    found = file.labels("train")
    assert found.dtype == np.uint8
    assert found.tolist() == labels.tolist()


def test_flat_labels_become_a_column() -> None:
    file = with_train(npy_bytes(np.zeros((3, 5, 5), np.uint8)), npy_bytes(np.array([4, 255, 0])))
    assert file.labels("train").tolist() == [[4], [255], [0]]


def test_a_split_without_rows_is_read() -> None:
    file = with_train(npy_bytes(np.zeros((0, 5, 5), np.uint8)), npy_bytes(np.zeros((0, 14), np.int64)))
    assert file.labels("train").shape == (0, 14)
    assert file.rows("train", np.array([], np.intp)).shape == (0, 5, 5)


def test_memory_is_the_wanted_rows_and_a_few_chunks(tmp_path: Path) -> None:
    rows = 20_000
    images = np.repeat(np.arange(rows, dtype=np.uint32).astype(np.uint8), 56 * 56).reshape(rows, 56, 56)
    path = tmp_path / "large.npz"
    np.savez_compressed(path, train_images=images, train_labels=np.zeros((rows, 1), np.uint8))
    whole = images.nbytes
    assert whole > 60_000_000
    del images
    wanted = np.arange(0, rows, 40)
    file = NpzFile(path)
    tracemalloc.start()
    try:
        found = file.rows("train", wanted)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, np.broadcast_to(wanted.astype(np.uint8)[:, None, None], found.shape))
    assert found.nbytes == 500 * 56 * 56
    assert peak < found.nbytes + 5 * npz.CHUNK_BYTES


# --- wrong files ---------------------------------------------------------------------------------------------------


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
    assert message == f"{path}: it cannot be read as .npz (File is not a zip file); {npz._MEND}"


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
        assert message.endswith(npz._MEND)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 2)), "values of type float64, not integers"),
        (np.full((4, 2), "yes"), "not integers"),
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

        refusal(read)


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


# --- real labels ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("MOBILENET_CHEST_REAL_DATA")
    if not folder:
        pytest.skip("MOBILENET_CHEST_REAL_DATA is not set to a folder with chestmnist_labels.npz")
    return Path(folder)


def test_a_full_size_file_with_the_real_labels(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "chestmnist.npz"
    expected_counts = {"train": [754, 1552], "val": [97, 208], "test": [243, 439]}
    with np.load(real / "chestmnist_labels.npz") as stored:
        labels = {split: stored[f"{split}_labels"] for split in npz.SPLITS}
    assert [len(labels[split]) for split in npz.SPLITS] == [78_468, 11_219, 22_433]
    # Every pixel of row r is (13 r + r // 256) mod 256, so that neighbours, and rows 256 apart, differ.
    value = {split: (np.arange(len(rows)) * 13 + np.arange(len(rows)) // 256).astype(np.uint8)
             for split, rows in labels.items()}  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for split, rows in labels.items():
            images = np.repeat(value[split], 28 * 28).reshape(len(rows), 28, 28)
            archive.writestr(f"{split}_images.npy", npy_bytes(images))
            archive.writestr(f"{split}_labels.npy", npy_bytes(rows))
    info = dataset_info("chestmnist")
    columns, _ = class_indices(info, ("Cardiomegaly", "Pneumothorax"))
    file = NpzFile(path)
    for split in file.splits:
        rows, target = select_rows(file.labels(split), info, columns)
        assert np.bincount(target).tolist() == expected_counts[split]
        images = file.rows(split, rows)
        assert images.shape == (sum(expected_counts[split]), 28, 28)
        np.testing.assert_array_equal(images, np.broadcast_to(value[split][rows][:, None, None], images.shape))


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [("pneumoniamnist_28.npz", (28, 28), [4708, 524, 624]), ("chestmnist_real_small_64.npz", (64, 64), [56, 33, 54])],
)
def test_real_files_equal_numpys(real: Path, name: str, shape: tuple[int, int], counts: list[int]) -> None:
    if not (real / name).exists():
        pytest.skip(f"the folder of MOBILENET_CHEST_REAL_DATA has no {name}")
    file = NpzFile(real / name)
    with np.load(real / name) as expected:
        for split, count in zip(npz.SPLITS, counts, strict=True):
            wanted = np.arange(0, count, 3)
            images = file.rows(split, wanted)
            assert images.shape == (len(wanted), *shape)
            np.testing.assert_array_equal(images, expected[f"{split}_images"][wanted])
            np.testing.assert_array_equal(file.labels(split), expected[f"{split}_labels"])
