"""``data import``: what it prints, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from helpers.commands import assert_one_line, assert_refused, contents, run
from helpers.pictures import class_folders, encoded, noise

from mobilenet_chest.cli.data.import_ import SHARES
from mobilenet_chest.data.importing import division


def test_the_report_fits_80_columns_and_says_what_was_done(folder: Path) -> None:
    class_folders(folder / "films")
    (folder / "films" / "sick" / "bad.png").write_bytes(b"x")
    result = run("data", "import", "films", "--out", "a.npz", "--size", "16")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-1] == "20 rows in a.npz"
    table = [line for line in lines if line.startswith("│")]
    assert max(map(len, table)) <= 80
    assert [cell.strip() for cell in table[0].split("│")[1:-1]] == ["healthy", "7", "2", "1"]
    assert any(line.startswith("pixels: 20 of 20 pictures resized to 16 × 16") for line in lines)
    assert "skipped: 1 file; see a-skipped.csv" in lines
    with np.load(folder / "a.npz") as arrays:
        assert arrays["train_images"].shape == (14, 16, 16)


def test_a_dry_run_as_json(folder: Path) -> None:
    class_folders(folder / "films")
    before = contents(folder)
    result = run("data", "import", "films", "--out", "a.npz", "--size", "16", "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert (document["rows"], document["written"], document["duplicates"]["groups"]) == (20, False, 0)
    assert contents(folder) == before


def test_options_reach_the_import(folder: Path) -> None:
    class_folders(folder / "films")
    lines = ["path;finding;subject;set;Scanner"]
    for split, numbers in {"train": range(6), "val": range(6, 8), "test": range(8, 10)}.items():
        lines += [
            f"films/{name}/{number:03d}.png;{name};{name}{number};{split};x"
            for name in ("sick", "healthy")
            for number in numbers
        ]
    (folder / "films.csv").write_text("\n".join(lines))
    (folder / "films" / "sick" / "000.png").write_bytes(encoded(noise(7).astype(np.uint16) * 4))
    options = (
        "--size 12 --fit stretch --bits 11 --colour colour --seed 3 --classes sick,healthy --file-column path "
        "--label-column finding --patient-column subject --split-column set --column Scanner --window bits"
    )
    result = run("data", "import", "films.csv", "--out", "a.npz", *options.split())
    assert result.exit_code == 0, result.output
    with np.load(folder / "a.npz") as arrays:
        assert arrays["class_names"].tolist() == ["sick", "healthy"]
        assert arrays["train_images"].shape == (12, 12, 12, 3)
        assert arrays["train_scanner"].tolist() == ["x"] * 12
        assert len(set(arrays["train_patient"].tolist())) == 12
        assert json.loads(str(arrays["preparation"])) == {
            "size": 12, "fit": "stretch", "channels": 3, "bits": 11, "window": "bits",
        }  # fmt: skip


def test_arrays_and_shares(folder: Path) -> None:
    films = np.stack([noise(number) for number in range(20)])
    np.savez("arrays.npz", x=films / np.float32(255), y=np.arange(20) % 2)
    options = ("--size", "16", "--shares", "60,20,20", "--classes", "healthy,sick")
    result = run("data", "import", "arrays.npz", "--out", "a.npz", *options, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"]["train"] == {"healthy": 6, "sick": 6}
    with np.load(folder / "a.npz") as arrays:
        assert arrays["class_names"].tolist() == ["healthy", "sick"]


def test_refusals(folder: Path) -> None:
    class_folders(folder / "films")
    assert_refused(folder, "data", "import", "none", "--out", "a.npz", wants="none: no such file or folder")
    assert_refused(folder, "data", "import", "films", "--out", "a.zip", wants="a.zip")
    assert_refused(folder, "data", "import", "films", "--out", "a.npz", "--size", "3", wants="size 3")
    assert_refused(folder, "data", "import", "films", "--out", "a.npz", "--bits", "40", wants="bits 40")
    for shares in ("80,20", "a,b,c", "80,20,0"):
        assert_refused(folder, "data", "import", "films", "--out", "a.npz", "--shares", shares, wants=shares)
    assert_refused(folder, "data", "import", "films", "--out", "a.npz", "--classes", "a,b", wants="healthy, sick")
    (folder / "few").mkdir()
    class_folders(folder / "few" / "films", 2)
    assert_one_line("data", "import", "few/films", "--out", "b.npz", wants="would have no row of class")


def test_the_shares_that_the_help_shows_are_those_that_count() -> None:
    assert ",".join(map(str, division.SHARES)) == SHARES
