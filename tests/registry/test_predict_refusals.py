"""What cannot be predicted, or be written, is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.brightness import flat, predicted
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.registry.predict import predict_files


class TestRefusals:
    def assert_refused(self, model: str, source: Path, out: str, match: str) -> None:
        target = source.parent / out
        with pytest.raises(DataError, match=match):
            predict_files(model, source, target)
        assert not target.exists()

    @pytest.mark.parametrize("out", ["out.xlsx", "out", "out.csv.gz"])
    def test_another_kind_of_table(self, tracking: Path, out: str) -> None:
        self.assert_refused("unused", tracking / "a.npy", out, r"\.csv or \.parquet")

    def test_a_folder_for_the_table_that_is_not_there(self, tracking: Path) -> None:
        self.assert_refused("unused", tracking / "a.npy", "missing/out.csv", rf"{tracking}/missing\b")

    def test_a_source_that_is_not_there(self, tracking: Path) -> None:
        self.assert_refused("unused", tracking / "a.npy", "out.csv", r"a\.npy: ")

    def test_a_folder_without_pictures(self, tracking: Path) -> None:
        (tracking / "empty").mkdir()
        self.assert_refused("unused", tracking / "empty", "out.csv", r"no picture .*\.png, \.jpg")

    def test_another_kind_of_file(self, tracking: Path) -> None:
        (tracking / "a.dcm").write_bytes(b"DICM")
        self.assert_refused("unused", tracking / "a.dcm", "out.csv", r"damaged DICOM")

    @pytest.mark.parametrize("name", ["a.png", "a.jpg"])
    def test_a_damaged_picture(self, tracking: Path, name: str) -> None:
        (tracking / name).write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        self.assert_refused("unused", tracking / name, "out.csv", f"{name}: .*picture")

    def test_a_truncated_picture(self, tracking: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        Image.fromarray(noise).save(tracking / "whole.png")
        (tracking / "half.png").write_bytes((tracking / "whole.png").read_bytes()[:1500])
        self.assert_refused("unused", tracking / "half.png", "out.csv", r"half\.png: .*picture")

    def test_a_file_that_is_no_array(self, tracking: Path) -> None:
        (tracking / "a.npy").write_bytes(b"nothing")
        self.assert_refused("unused", tracking / "a.npy", "out.csv", r"a\.npy: .*numpy\.save")

    def test_a_pickle_is_never_opened(self, tracking: Path) -> None:
        np.save(tracking / "a.npy", np.array([{"any": "object"}], dtype=object))
        self.assert_refused("unused", tracking / "a.npy", "out.csv", r"a\.npy: .*allow_pickle=False")

    @pytest.mark.parametrize(
        "images",
        [np.zeros((2, 8, 8), np.float32), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8, 4), np.uint8)],
        ids=["float", "one image", "four channels"],
    )
    def test_another_layout_of_array(self, tracking: Path, images: NDArray[np.generic]) -> None:
        np.save(tracking / "a.npy", images)
        self.assert_refused("unused", tracking / "a.npy", "out.csv", r"uint8 \(n, h, w\) or \(n, h, w, 3\)")

    def test_a_float_array_is_told_how_to_convert(self, tracking: Path) -> None:
        np.save(tracking / "a.npy", np.zeros((2, 8, 8), np.float64))
        self.assert_refused("unused", tracking / "a.npy", "out.csv", r'\(images \* 255\)\.round\(\)\.astype\("uint8"\)')

    def test_an_npz_of_other_keys(self, tracking: Path) -> None:
        np.savez(tracking / "a.npz", pictures=flat(1))
        self.assert_refused("unused", tracking / "a.npz", "out.csv", r"a\.npz: .*\(.*\bpictures\)")

    @pytest.mark.parametrize("uri", ["models:/nobody@champion", "models:/nobody/1", "nonsense", "models:/"])
    def test_a_model_that_is_not_there(self, tracking: Path, uri: str) -> None:
        np.save(tracking / "a.npy", flat(1))
        with pytest.raises(TrackingError, match="models:/NAME@champion"):
            predict_files(uri, tracking / "a.npy", tracking / "out.csv")
        assert not (tracking / "out.csv").exists()


def test_no_images_make_an_empty_table(tracking: Path, models: dict[str, str]) -> None:
    np.save(tracking / "none.npy", np.zeros((0, 20, 24), np.uint8))
    assert predicted(models["gray"], tracking / "none.npy").empty
