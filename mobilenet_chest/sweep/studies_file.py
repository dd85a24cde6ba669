"""Files of studies in short, with which a fresh store does not start from nothing: ``studies export`` and ``import``.

A file holds no images and no paths of a machine. What it brings is kept in the studies' own database, as a study
without trials whose attribute is the summary: there every machine of a sweep finds it, as it finds the other studies,
and its name can mean one study only. A file beside the database would be on one machine, and MLflow may be another one
for each sweep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from pydantic import Field, ValidationError

from mobilenet_chest.config import Choice, Distribution
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import StudyError, TrackingError, allowed_names
from mobilenet_chest.files import write_whole
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.storage import DEFAULT, check_storage, open_storage
from mobilenet_chest.sweep.stored_study import find_study
from mobilenet_chest.sweep.study_summary import StudySummary, summaries
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import existing_run
from mobilenet_chest.tracking.store import connect, masked, store_required

FORMAT = "mobilenet-chest studies"
VERSION = 1

MOST_BYTES = 16 * 2**20
"""Largest file that is read."""

MOST_STUDIES = 1000

PATH = re.compile(r"[/\\]|^~")
"""What a text has that may be a path of the machine."""


class StudiesFile(Section):
    """The contents of a file."""

    format: Literal["mobilenet-chest studies"]
    version: Literal[1]
    studies: tuple[StudySummary, ...] = Field(min_length=1, max_length=MOST_STUDIES)


def export_studies(names: Sequence[str], out: Path, storage: str | None = None) -> list[dict[str, str]]:
    """Write studies in short to a file; return each ``study``, and ``done``: what was written.

    Args:
        names: The studies; all that have a complete trial where none is named.
        out: The file.
        storage: SQLAlchemy address of the studies; ``sqlite:///optuna.db`` by default.

    Raises:
        StudyError: The storage or the file cannot be used, or there is no such study with a complete trial.
    """
    url = storage or DEFAULT
    check_storage(url)
    stored = {each.name: each for each in summaries(url)}
    for name in names:
        if name not in stored:
            raise StudyError(
                f"no study '{name}' with a complete trial in {masked(url)}{allowed_names(name, stored or ['none yet'])}"
            )
    if not stored:
        raise StudyError(
            f"no study in {masked(url)} has a complete trial; run a sweep first, or name another --storage"
        )
    chosen = [_portable(stored[name], url) for name in dict.fromkeys(names or stored)]
    contents = StudiesFile(format=FORMAT, version=VERSION, studies=tuple(each for each, _ in chosen))
    # the fields that a study does not use would be most of the file
    document = contents.model_dump(mode="json", exclude_defaults=True)
    try:
        write_whole(out, json.dumps(document, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise StudyError(f"--out {out}: cannot be written ({error.strerror}); name another file") from None
    return [
        {"study": each.name, "done": f"{len(each.trials)} trials written to {out}"
         + (f"; left out, as choices may be paths of this machine: {left}" if left else "")}
        for each, left in chosen
    ]  # fmt: skip


def import_studies(path: Path, prefix: str = "", storage: str | None = None) -> list[dict[str, str]]:
    """Add the studies of a file to a storage; return each ``study``, and what was ``done``.

    Either all are added, or none. A study that is there already, with the same contents, is left as it is.

    Args:
        path: The file.
        prefix: What is put before the names of the studies.
        storage: SQLAlchemy address of the studies; ``sqlite:///optuna.db`` by default.

    Raises:
        StudyError: The file is none that ``export`` writes, or a name is taken by another study.
    """
    url = storage or DEFAULT
    check_storage(url)
    studies = [_renamed(study, prefix, path) for study in read_studies(path)]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened, done = open_storage(url), []
    with exclusive(url):
        names = optuna.get_all_study_names(opened)
        known = {s.name: optuna.load_study(study_name=s.name, storage=opened) for s in studies if s.name in names}
        for study in studies:
            # one that was killed before it had its summary has a name, and nothing else
            there = known[study.name].user_attrs if study.name in known else {}
            if there and there.get(attributes.IMPORTED) != _stored(study):
                raise StudyError(
                    f"{path}: {masked(url)} has another study '{study.name}'; add --prefix TEXT, to be put before names"
                )
        for study in studies:
            if study.name in known and known[study.name].user_attrs:
                done.append({"study": study.name, "done": "is there already"})
                continue
            new = known.get(study.name) or optuna.create_study(
                storage=opened, study_name=study.name, direction=study.direction
            )
            new.set_user_attr(attributes.IMPORTED, _stored(study))
            done.append({"study": study.name, "done": f"imported, {len(study.trials)} trials"})
    return done


def read_studies(path: Path) -> list[StudySummary]:
    """Return the studies of a file.

    Raises:
        StudyError: It cannot be read, is too large, or is none that ``export`` writes.
    """
    try:
        if not path.is_file():
            raise StudyError(f"{path}: no such file; name one that `mobilenet-chest studies export` has written")
        if path.stat().st_size > MOST_BYTES:
            raise StudyError(
                f"{path}: {path.stat().st_size / 2**20:.0f} MiB, and at most {MOST_BYTES >> 20} are read; export fewer "
                "studies into a file"
            )
        fields = json.loads(path.read_bytes().decode(), parse_constant=_refuse)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}); name another file") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error).partition("\n")[0]
        raise StudyError(f"{path}: not JSON ({reason}); name a file of `mobilenet-chest studies export`") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise StudyError(f"{path}: not a file of studies; name one that `mobilenet-chest studies export` has written")
    if fields.get("version") != VERSION:
        raise StudyError(
            f"{path}: version {str(fields.get('version'))[:20]!r} of the format, and this program reads {VERSION}; "
            "export it again with this version of the program"
        )
    try:
        studies = list(StudiesFile.model_validate(fields).studies)
    except ValidationError as error:
        raise StudyError(f"{path}: {_first_problem(error)}; export the studies again") from None
    names = [study.name for study in studies]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise StudyError(f"{path}: study '{twice}' is in it twice; remove one")
    return studies


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _first_problem(error: ValidationError) -> str:
    detail = error.errors()[0]
    place = ".".join(str(part)[:60] for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ").partition("\n")[0][:300]
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _renamed(study: StudySummary, prefix: str, path: Path) -> StudySummary:
    try:
        return StudySummary.model_validate(study.model_dump() | {"name": prefix + study.name})
    except ValidationError as error:
        raise StudyError(f"{path}: --prefix {prefix!r}: {_first_problem(error)}") from None


def _stored(study: StudySummary) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(study.model_dump_json())
    return stored


def _portable(study: StudySummary, url: str) -> tuple[StudySummary, str]:
    """Return a study without fields that may hold paths of this machine, and with the digest of its rows."""
    kept = {path: distribution for path, distribution in study.search.items() if not _may_hold_paths(distribution)}
    left = ", ".join(path for path in study.search if path not in kept)
    # a condition on what is left out cannot be told any more
    kept = {
        path: d.model_copy(update={"when": {parent: v for parent, v in d.when.items() if parent in kept}})
        for path, d in kept.items()
    }
    trials = tuple(
        trial.model_copy(update={"params": {path: v for path, v in trial.params.items() if path in kept}})
        for trial in study.trials
    )
    data = study.data.model_copy(update={"digest": study.data.digest or _digest(study.name, url)})
    return study.model_copy(update={"search": kept, "trials": trials, "data": data}), left


def _may_hold_paths(distribution: Distribution) -> bool:
    def texts(choice: Choice) -> bool:
        if isinstance(choice, tuple):
            return any(map(texts, choice))
        return isinstance(choice, str) and PATH.search(choice) is not None

    return any(map(texts, distribution.choices or ()))


def _digest(name: str, url: str) -> str | None:
    """Return the digest of a study's rows, which its run in MLflow has; ``None`` with the run or the store away."""
    study = find_study(url, name)
    run_id = None if study is None else study.user_attrs.get(attributes.RUN_ID)
    if run_id is None:
        return None
    try:
        with store_required():
            run = existing_run(connect(), run_id)
    except TrackingError:
        return None
    return None if run is None else run.data.tags.get(tags.DATA_DIGEST)
