"""Tables of predictions from arrays and pictures, by models that judge by brightness alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.brightness import BRIGHT, DARK, assert_dark_then_bright, flat, predicted, probability
from helpers.pictures import dicom, dicom_bytes, encoded, noise
from mlflow import MlflowClient
from PIL import Image

from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.errors import DataError
from mobilenet_chest.registry.predict import predict_files


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_npy(tracking: Path, models: dict[str, str], out: str) -> None:
    np.save(tracking / "images.npy", flat(DARK, BRIGHT))
    table = predicted(models["gray"], tracking / "images.npy", out)
    assert_dark_then_bright(table)
    assert table["source"].tolist() == ["images.npy"] * 2
    assert table["row"].tolist() == [0, 1]


def test_the_name_of_a_study_is_its_champion(tracking: Path, models: dict[str, str]) -> None:
    np.save(tracking / "a.npy", flat(3))
    name, version = models["gray"].removeprefix("models:/").split("/")
    MlflowClient().set_registered_model_alias(name, "champion", version)
    pd.testing.assert_frame_equal(predicted(name, tracking / "a.npy"), predicted(models["gray"], tracking / "a.npy"))


def test_npz_gives_every_split(tracking: Path, models: dict[str, str]) -> None:
    arrays = {f"{split}_labels": np.zeros((1, 1), np.uint8) for split in ("train", "test")}
    path = tracking / "chest.npz"
    np.savez(path, train_images=flat(DARK), test_images=flat(BRIGHT, shape=(9, 30)), **arrays)
    table = predicted(models["gray"], path)
    assert_dark_then_bright(table)
    assert table["source"].tolist() == ["train", "test"]
    assert table["row"].tolist() == [0, 0]


def test_a_folder_of_pictures_of_several_sizes_and_kinds(tracking: Path, models: dict[str, str]) -> None:
    folder = tracking / "pictures"
    folder.mkdir()
    Image.fromarray(flat(DARK, shape=(11, 40))[0]).save(folder / "a.png")
    Image.fromarray(flat(BRIGHT, shape=(64, 48))[0]).save(folder / "b.JPEG")
    (folder / "notes.txt").write_text("not a picture")
    table = predicted(models["gray"], folder)
    assert_dark_then_bright(table, tolerance=1e-2)  # JPEG may be a level off
    assert table["source"].tolist() == ["a.png", "b.JPEG"]


def test_one_picture(tracking: Path, models: dict[str, str]) -> None:
    Image.fromarray(flat(BRIGHT)[0]).save(tracking / "one.jpg")
    table = predicted(models["gray"], tracking / "one.jpg")
    assert table["label_name"].tolist() == ["bright"]


def test_colour_for_a_gray_model_is_weighted_as_pil_does(tracking: Path, models: dict[str, str]) -> None:
    green = np.zeros((10, 12, 3), np.uint8)
    green[..., 1] = 255
    Image.fromarray(green).save(tracking / "green.png")
    table = predicted(models["gray"], tracking / "green.png")
    # ITU-R 601: 0.587 of green
    assert table["probability"].tolist() == pytest.approx([probability(150)], abs=1e-6)
    np.save(tracking / "green.npy", green[None])
    assert predicted(models["gray"], tracking / "green.npy")["probability"].tolist() == table["probability"].tolist()


def test_colour_stays_colour_for_a_colour_model(tracking: Path, models: dict[str, str]) -> None:
    blue = np.zeros((2, 10, 12, 3), np.uint8)
    blue[0, ..., 2], blue[1, ..., 2] = DARK, BRIGHT
    np.save(tracking / "blue.npy", blue)
    assert_dark_then_bright(predicted(models["colour"], tracking / "blue.npy"))


def test_gray_for_a_colour_model_is_repeated(tracking: Path, models: dict[str, str]) -> None:
    np.save(tracking / "gray.npy", flat(DARK, BRIGHT))
    assert_dark_then_bright(predicted(models["colour"], tracking / "gray.npy"))


def test_a_transparent_gray_picture_is_gray(tracking: Path, models: dict[str, str]) -> None:
    Image.fromarray(flat(BRIGHT)[0]).convert("LA").save(tracking / "la.png")
    table = predicted(models["gray"], tracking / "la.png")
    assert table["probability"].tolist() == pytest.approx([probability(BRIGHT)], abs=1e-6)


def test_a_sixteen_bit_picture_keeps_its_gray_levels(tracking: Path, models: dict[str, str]) -> None:
    # radiographs are often 16 bit; the middle of their range is the middle of 8 bit, not white
    Image.fromarray(np.full((20, 24), BRIGHT * 257, np.uint16)).save(tracking / "deep.png")
    table = predicted(models["gray"], tracking / "deep.png")
    assert table["probability"].tolist() == pytest.approx([probability(BRIGHT)], abs=1e-2)


def test_more_images_than_a_batch_keep_their_order(tracking: Path, models: dict[str, str]) -> None:
    levels = [64 + index for index in range(130)]
    np.save(tracking / "many.npy", flat(*levels, shape=(16, 16)))
    table = predicted(models["gray"], tracking / "many.npy")
    assert table["probability"].tolist() == pytest.approx([probability(level) for level in levels], abs=1e-6)
    # at the threshold itself an image is of class 1
    assert table["label"].tolist() == [int(level >= 128) for level in levels]


def test_folders_below_and_other_kinds_are_read_and_the_rest_is_counted(
    tracking: Path, models: dict[str, str]
) -> None:  # fmt: skip
    folder = tracking / "films"
    (folder / "below" / "further").mkdir(parents=True)
    (folder / "a.tiff").write_bytes(encoded(flat(DARK)[0], "TIFF"))
    (folder / "below" / "b.webp").write_bytes(encoded(flat(BRIGHT)[0], "WEBP", lossless=True))
    (folder / "below" / "c.dcm").write_bytes(dicom_bytes(dicom(flat(DARK)[0], bits=8, photometric="MONOCHROME1")))
    (folder / "below" / "further" / "bad.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    done = predict_files(models["gray"], folder, tracking / "out.csv")
    assert (done.rows, len(done.skipped), done.skipped_file) == (3, 2, tracking / "out-skipped.csv")
    assert set(pd.read_csv(tracking / "out-skipped.csv")["file"]) == {"notes.txt", "below/further/bad.png"}
    table = pd.read_csv(tracking / "out.csv")
    assert table["source"].tolist() == ["a.tiff", "below/b.webp", "below/c.dcm"]
    expected = [probability(DARK), probability(BRIGHT), probability(255 - DARK)]
    assert table["probability"].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_table_of_files(tracking: Path, models: dict[str, str]) -> None:
    for name, level in (("z.png", DARK), ("a.png", BRIGHT)):
        Image.fromarray(flat(level)[0]).save(tracking / name)
    (tracking / "films.csv").write_text("path,sex\nz.png,f\na.png,m\n")
    predict_files(models["gray"], tracking / "films.csv", tracking / "out.csv", file_column="path")
    table = pd.read_csv(tracking / "out.csv")
    assert table["source"].tolist() == ["z.png", "a.png"]
    assert_dark_then_bright(table)


def test_a_camera_picture_is_turned_upright(tracking: Path, models: dict[str, str]) -> None:
    """The prepared model sees the letterbox of an upright picture: black left and right, not above and below."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(0, 32, 64)).save(tracking / "turned.png", exif=exif)
    Image.fromarray(np.rot90(noise(0, 32, 64), -1)).save(tracking / "upright.png")
    turned, upright = (predicted(models["prepared"], tracking / f"{name}.png") for name in ("turned", "upright"))
    assert turned["probability"].tolist() == upright["probability"].tolist()


@pytest.mark.parametrize("model", ["gray", "prepared"])
@pytest.mark.parametrize("level", [DARK, BRIGHT])
def test_twelve_bits_are_predicted_as_their_twin_of_eight(
    tracking: Path, models: dict[str, str], model: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    twin = np.clip(noise(0, 16, 16) // 4 + level - 32, 0, 255).astype(np.uint8)
    Image.fromarray(twin).save(tracking / "twin.png")
    Image.fromarray(twin.astype(np.uint16) << 4).save(tracking / "deep.png")
    of_twin, of_deep = (predicted(models[model], tracking / f"{name}.png") for name in ("twin", "deep"))
    assert of_deep["label"].tolist() == of_twin["label"].tolist()
    assert of_deep["probability"].tolist() == pytest.approx(of_twin["probability"].tolist(), abs=0.01)
    # a model that was trained on such pictures knows their depth; for another it is found, and said
    assert ("read as 12 bits" in caplog.text) == (model == "gray")


def test_a_picture_of_a_set_is_read_in_the_depth_of_the_set(tracking: Path, models: dict[str, str]) -> None:
    folder = tracking / "films"
    folder.mkdir()
    for name, value in (("a.png", 200), ("b.png", 4000)):
        Image.fromarray(np.full((16, 16), value, np.uint16)).save(folder / name)
    Image.fromarray(flat(BRIGHT)[0]).save(folder / "c.png")
    table = predicted(models["gray"], folder)
    assert table["source"].tolist() == ["a.png", "b.png", "c.png"]
    expected = [probability(round(value * 255 / 4095)) for value in (200, 4000)] + [probability(BRIGHT)]
    assert table["probability"].tolist() == pytest.approx(expected, abs=1e-6)
    given = predict_files(models["gray"], folder / "a.png", tracking / "given.csv", bits=8)
    assert given.rows == 1
    assert pd.read_csv(tracking / "given.csv")["probability"].tolist() == pytest.approx([probability(200)], abs=1e-6)


def test_values_above_the_depth_of_the_model_are_skipped(tracking: Path, models: dict[str, str]) -> None:
    Image.fromarray(np.full((16, 16), 5000, np.uint16)).save(tracking / "deep.png")
    with pytest.raises(DataError, match="5000, above the 4095 of 12 bits"):
        predict_files(models["prepared"], tracking / "deep.png", tracking / "out.csv")
    with pytest.raises(DataError, match="trained on pictures read as 12 bits"):
        predict_files(models["prepared"], tracking / "deep.png", tracking / "out.csv", bits=14)
    with pytest.raises(DataError, match="--bits 40"):
        predict_files(models["gray"], tracking / "deep.png", tracking / "out.csv", bits=40)


def test_files_are_predicted_as_their_imported_rows(tracking: Path, models: dict[str, str]) -> None:
    """Of every kind: what the import does to a picture, predict does."""
    root = tracking / "films"
    for name in ("dark", "bright"):
        (root / name).mkdir(parents=True)
    for number in range(24):
        low = noise(number, 40, 30) // 4 + (40 if number % 2 else 150)
        folder = root / ("dark" if number % 2 else "bright")
        if number % 4 < 2:
            (folder / f"{number:02d}.png").write_bytes(encoded(low.astype(np.uint16) << 4))
        elif number % 8 < 4:
            film = dicom(low.astype(np.uint16) << 4, PatientID=str(number), WindowCenter=1800, WindowWidth=3000)
            (folder / f"{number:02d}.dcm").write_bytes(dicom_bytes(film))
        else:
            (folder / f"{number:02d}.jpg").write_bytes(encoded(low, "JPEG"))
    options = ImportOptions(16, classes=("dark", "bright"), window="bits")
    report = import_pictures(root, tracking / "films.npz", options, workers=1)
    assert report.done[1].startswith("12 files of 16 bits, values up to ")
    of_rows = predict_files(models["prepared"], tracking / "films.npz", tracking / "rows.csv")
    of_files = predict_files(models["prepared"], root, tracking / "files.csv")
    assert (of_rows.rows, of_files.rows) == (24, 24)
    rows, files = (pd.read_csv(tracking / name) for name in ("rows.csv", "files.csv"))
    assert sorted(files["probability"]) == pytest.approx(sorted(rows["probability"]), abs=1e-6)
    assert files["label"].tolist() == [1] * 12 + [0] * 12


def test_a_table_that_cannot_be_written(tracking: Path, models: dict[str, str]) -> None:
    np.save(tracking / "images.npy", flat(DARK))
    (tracking / "out.csv").mkdir()
    with pytest.raises(DataError, match=r"--out .*out\.csv: cannot be written"):
        predict_files(models["gray"], tracking / "images.npy", tracking / "out.csv")
