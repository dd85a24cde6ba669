"""Labels that come after the answers, joined with them by the keyed hash of their patient or request."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mobilenet_chest.deploy.identities import Identities
from mobilenet_chest.errors import DataError

LABEL, PATIENT, REQUEST, IMAGE = "label", "patient_id", "request_id", "image"
"""Columns of a table of labels."""


def labelled(file: Path, answers: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, int]:
    """Return the answers whose labels are known, with their label as ``truth``, and the labels that fit none.

    Args:
        file: CSV with ``label`` (0 or 1) and ``patient_id`` or ``request_id``, as the requests gave them. With
            ``request_id`` there may be ``image``, the number of the image in the request.
        answers: Rows of the log.
        folder: Of all logs, with their key.

    Raises:
        DataError: The table cannot be read or lacks a column, a label is neither 0 nor 1 or contradicts another, or
            none fits an answer.
    """
    table = _read(file)
    ids = [name for name in (PATIENT, REQUEST) if name in table]
    if LABEL not in table or len(ids) != 1:
        raise DataError(f"{file}: the columns {', '.join(map(str, table))}; give {LABEL}, and {PATIENT} or {REQUEST}")
    (who,) = ids
    wrong = table.loc[~table[LABEL].isin(["0", "1"])]
    if len(wrong):
        raise DataError(f"{file}, line {wrong.index[0] + 2}: the label {wrong[LABEL].iloc[0]!r}; give 0 or 1")
    identities = Identities(folder, make=False)
    hashed = identities.patient if who == PATIENT else identities.request
    keys = ["patient" if who == PATIENT else "request", *([IMAGE] if who == REQUEST and IMAGE in table else [])]
    known = pd.DataFrame({keys[0]: table[who].str.strip().map(hashed), "truth": table[LABEL].astype(int)})
    if IMAGE in keys:
        number = pd.to_numeric(table[IMAGE], errors="coerce")
        if number.isna().any():
            line = int(number.index[number.isna()][0]) + 2
            raise DataError(f"{file}, line {line}: the image {table[IMAGE][line - 2]!r}; give its number, from 0 on")
        known[IMAGE] = number.astype(answers[IMAGE].dtype)
    known = known.drop_duplicates()
    twice = known.loc[known.duplicated(keys)]
    if len(twice):
        line = int(twice.index[0])
        raise DataError(f"{file}, line {line + 2}: {table[who][line]!r} has the label 0 and the label 1; give one")
    joined = answers.merge(known, on=keys)
    found = joined[keys].drop_duplicates()
    if known.shape[0] and not len(found):
        raise DataError(
            f"{file}: none of its {len(known)} labels fits an answer; {who} must be the one that the request gave"
        )
    return joined, len(known) - len(found)


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"--labels {file}: cannot be read ({reason}); give a CSV with {LABEL} and {PATIENT}") from error
