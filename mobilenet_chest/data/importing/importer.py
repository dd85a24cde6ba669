"""From a folder, a table or DICOM files to a data file: the story of ``data import``."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.conversion import depth
from mobilenet_chest.data.importing import archive, dicom, division, shards, sources, summary
from mobilenet_chest.data.importing.entries import ColumnNames, Skipped, Source
from mobilenet_chest.data.importing.preparation import Fit, Preparation, Window, finish
from mobilenet_chest.data.importing.rows import Rows, units, usable_rows
from mobilenet_chest.data.importing.summary import ImportReport
from mobilenet_chest.data.importing.work_folder import work_folder
from mobilenet_chest.data.npz import SPLITS
from mobilenet_chest.errors import DataError

MOST_CLASSES = 256

Colour = Literal["auto", "gray", "colour"]


@dataclass(frozen=True)
class ImportOptions:
    """What the user may choose.

    Attributes:
        size: Height and width of the rows, in pixels.
        fit: How a picture fits into the square.
        bits: Depth of 16-bit picture files; ``None`` finds it from all of them.
        window: Gray range of DICOM files.
        colour: Of the rows; ``auto`` is colour where any picture is.
        seed: Of a division into splits.
        classes: Class names in the order of their labels; sorted by default.
        columns: Names of a table's columns.
        shares: Percent of the rows in train, val and test, where the source has no splits.
    """

    size: int = 224
    fit: Fit = "letterbox"
    bits: int | None = None
    window: Window = "voi"
    colour: Colour = "auto"
    seed: int = 0
    classes: tuple[str, ...] = ()
    columns: ColumnNames = field(default_factory=ColumnNames)
    shares: tuple[int, int, int] = division.SHARES

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: One is not allowed.
        """
        Preparation(self.size, self.fit, 1, self.bits, self.window)
        if len(self.shares) != len(SPLITS) or min(self.shares) < 1 or sum(self.shares) != 100:
            raise DataError(
                f"shares {','.join(map(str, self.shares))}: give the percent of train, val and test, whole numbers "
                "from 1 that add up to 100, for example 70,15,15"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return what stands in the data file."""
        return {
            "size": self.size, "fit": self.fit, "bits": self.bits, "window": self.window, "colour": self.colour,
            "seed": self.seed, "classes": list(self.classes), "columns": asdict(self.columns),
            "shares": list(self.shares),
        }  # fmt: skip


def import_pictures(
    source: Path,
    out: Path,
    options: ImportOptions,
    dry_run: bool = False,
    workers: int | None = None,
    progress: shards.Progress = lambda done, total: None,
) -> ImportReport:
    """Write the pictures of ``source`` to a data file, or only report what would be written.

    A killed import is continued by the same call. The same source and options give the same bytes.

    Args:
        source: Folder ``split/class/*`` or ``class/*``, a CSV or Parquet table of files and labels, or a ``.npz`` of
            images and labels.
        out: ``.npz`` to write, which does not exist yet.
        options: What is done to the pictures.
        dry_run: Write nothing.
        workers: Processes; by default as many as cores, see :func:`shards.worker_count`.
        progress: Called with the files done and their total.

    Raises:
        DataError: The source or an option cannot be used; nothing is written.
        MissingExtraError: It holds DICOM files, and the extra ``dicom`` is not installed.
        WriteFailed: The disk is full, or a process was killed.
    """
    _check_out(out)
    found = _named(sources.labelled(source, options.columns), options.classes)
    classes = _class_names(found, options.classes)
    if any(sources.is_dicom(Path(entry.path)) for entry in found.entries):
        dicom.require()
    settings = f"{options.size} {options.fit} {options.window}"
    with work_folder(None if dry_run else out, found.entries, settings) as folder:
        key = hashlib.sha256("\n".join(entry.name for entry in found.entries).encode()).digest()
        making = shards.Making(folder, options.size, options.fit, options.window, key)
        records = _records(found, making, workers or shards.worker_count(), progress)
        rows = usable_rows(found, records, classes, key)
        preparation, how_deep = _preparation(rows, options)
        splits, divided = division.divide(rows.labels, [entry.split for entry in rows.entries], units(rows),
                                          options.seed, options.shares)  # fmt: skip
        division.check_patients(rows.patients, splits, [entry.name for entry in rows.entries])
        division.check_classes(rows.labels, splits, classes)
        unread = [Skipped(entry.name, record.reason)
                  for entry, record in zip(found.entries, records, strict=True) if record.reason]  # fmt: skip
        report = _report(source, out, found, rows, splits, divided, classes, preparation, how_deep,
                         [*found.skipped, *unread], not dry_run)  # fmt: skip
        if folder is not None:
            small = shards.SmallPictures(folder, records, options.size)
            plain = tuple(str(label) for label in range(len(classes)))
            known = () if found.numbered and classes == plain else classes  # names are then given in the experiment
            _write(out, small, rows, splits, known, preparation, found.columns, _origin(report, options, rows))
            report.write_skipped()
    return report


def _records(found: Source, making: shards.Making, workers: int, progress: shards.Progress) -> list[shards.Record]:
    count = len(found.entries)
    if found.pictures is not None:  # a stream: it is read once, and here
        return shards.make_shards(found.pictures(), count, making, 1, progress)
    return shards.make_shards((entry.path for entry in found.entries), count, making, workers, progress)


def _named(found: Source, given: tuple[str, ...]) -> Source:
    """Return a source whose numbered labels have the names that were given."""
    if not given or not found.numbered:
        return found
    numbers = sorted({entry.label for entry in found.entries}, key=int)
    if len(given) != len(numbers) or len(set(given)) != len(given):
        raise DataError(f"--classes {','.join(given)}: the labels of the source are {', '.join(numbers)}; give a name "
                        "for each of them, in their order")  # fmt: skip
    names = dict(zip(numbers, given, strict=True))
    return replace(found, entries=[replace(entry, label=names[entry.label]) for entry in found.entries])


def _check_out(out: Path) -> None:
    if out.suffix != ".npz":
        raise DataError(f"--out {out}: the file's name must end in .npz")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    if out.exists():
        raise DataError(f"--out {out}: exists already; choose another name, or remove it first")


def _class_names(found: Source, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in the order of their labels: as given, else by number where all are numbers, else by name."""
    names = {entry.label for entry in found.entries}
    folded: dict[str, str] = {}
    for name in sorted(names):
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise DataError(
                f"the classes '{other}' and '{name}' differ in upper and lower case only; rename one of them"
            )
    if given:
        if set(given) != names or len(given) != len(names):
            raise DataError(f"--classes {','.join(given)}: the source has the classes {', '.join(sorted(names))}; "
                            "name each of them once, in the order of their labels")  # fmt: skip
        return given
    if found.classes:
        return tuple(name for name in found.classes if name in names)
    if len(names) < 2:
        raise DataError(f"all pictures are of the class '{names.pop()}'; a data file needs two classes or more")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{len(names)} classes, but at most {MOST_CLASSES} are allowed; is the label column right?")
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _preparation(rows: Rows, options: ImportOptions) -> tuple[Preparation, str]:
    """Return what is done to every picture, and a sentence on the range of 16-bit files."""
    deep = [place for place, record in enumerate(rows.records) if record.bits is None]
    colour = any(record.channels == 3 for record in rows.records)
    channels = {"auto": 3 if colour else 1, "gray": 1, "colour": 3}[options.colour]
    if not deep:
        return Preparation(options.size, options.fit, channels, options.bits, options.window), ""
    place = max(deep, key=lambda place: rows.records[place].largest)
    largest, name = rows.records[place].largest, rows.entries[place].name
    if options.bits is not None and largest >= 1 << options.bits:
        raise DataError(
            f"--bits {options.bits}: {name} holds the value {largest}, and {options.bits} bits end at "
            f"{(1 << options.bits) - 1}; give --bits {depth(largest)}, or leave the file out"
        )
    bits = options.bits or depth(largest)
    found = "as given" if options.bits else "the smallest depth that holds all of them; --bits gives another"
    how = f"{summary.counted(len(deep), 'file')} of 16 bits, values up to {largest}: read as {bits} bits, {found}"
    return Preparation(options.size, options.fit, channels, bits, options.window), how


def _report(
    source: Path, out: Path, found: Source, rows: Rows, splits: Sequence[str], divided: str, classes: tuple[str, ...],
    preparation: Preparation, how_deep: str, skipped: list[Skipped], written: bool,
) -> ImportReport:  # fmt: skip
    records = rows.records
    notes = Counter(note for record in records for note in record.notes)
    twice = summary.duplicates(records, rows.labels, splits, [entry.name for entry in rows.entries])
    return ImportReport(
        source=str(source),
        out=str(out),
        written=written,
        rows=len(records),
        counts=summary.class_counts(rows.labels, splits, classes),
        patients=summary.patient_counts(rows.patients, splits),
        divided=divided,
        sizes=dict(Counter(f"{record.width} × {record.height}" for record in records).most_common()),
        modes=dict(Counter(record.mode for record in records).most_common()),
        notes=dict(notes.most_common()),
        duplicates=twice,
        done=[*found.done, *summary.what_was_done(preparation, records, how_deep)],
        warnings=summary.suspicions(preparation, records, notes, twice),
        columns=list(found.columns),
        left_out=list(found.left_out),
        skipped=skipped,
    )


def _origin(report: ImportReport, options: ImportOptions, rows: Rows) -> dict[str, Any]:
    """Return where the rows come from, for the file's key ``import``."""
    digest = hashlib.sha256()
    for entry, record in zip(rows.entries, rows.records, strict=True):
        digest.update(f"{entry.name}\0{entry.label}\0{entry.split}\0{record.file}\n".encode())
    return {
        "source": report.source, "digest": digest.hexdigest(), "options": options.as_dict(),
        "rows": report.rows, "skipped": len(report.skipped), "split": report.divided, "pixels": report.done,
    }  # fmt: skip


def _write(
    out: Path,
    small: shards.SmallPictures,
    rows: Rows,
    splits: Sequence[str],
    classes: tuple[str, ...],
    preparation: Preparation,
    columns: Sequence[str],
    origin: Mapping[str, Any],
) -> None:
    shape = (preparation.size,) * 2 + ((3,) if preparation.channels == 3 else ())
    streamed: dict[str, archive.Rows] = {}
    arrays: dict[str, NDArray[Any]] = {}

    def row(place: int) -> NDArray[np.uint8]:
        bits = rows.records[place].bits or preparation.bits
        assert bits is not None  # found from the set, where a file does not state it
        return finish(small[rows.numbers[place]], bits, preparation.channels)

    known = any(patient is not None for patient in rows.patients)
    values = {name: _column([entry.columns[index] for entry in rows.entries]) for index, name in enumerate(columns)}
    if known:  # a picture of nobody known is a patient of its own
        marked = zip(rows.patients, rows.records, strict=True)
        values["patient"] = np.array([patient or f"-{record.file[:15]}" for patient, record in marked], np.str_)
    for split in SPLITS:
        places = [place for place, name in enumerate(splits) if name == split]
        streamed[f"{split}_images"] = ((len(places), *shape), map(row, places))
        arrays[f"{split}_labels"] = rows.labels[places].astype(np.uint8)[:, None]
        for name, column in values.items():
            arrays[f"{split}_{name}"] = column[places]
    if classes:
        arrays["class_names"] = np.array(classes, np.str_)
    arrays["preparation"] = np.array(preparation.to_json())
    arrays["import"] = np.array(json.dumps(origin, sort_keys=True, ensure_ascii=False))
    archive.write_archive(out, streamed, arrays)


def _column(values: Sequence[str]) -> NDArray[Any]:
    """Return int64 where all values are whole numbers, otherwise text."""
    if all(value.removeprefix("-").isdecimal() and value.isascii() and len(value) < 19 for value in values):
        return np.array([int(value) for value in values], np.int64)
    return np.array(values, np.str_)
