"""What is on record of a run, in sentences, by the names that the checklists' files use."""

from __future__ import annotations

from mobilenet_chest.report.checklists.data_facts import data_facts
from mobilenet_chest.report.checklists.model_facts import model_facts
from mobilenet_chest.report.checklists.record import Record
from mobilenet_chest.report.checklists.result_facts import result_facts


def facts(record: Record) -> dict[str, str]:
    """Return the facts of a run by their names; a fact is empty where nothing is on record."""
    return data_facts(record) | model_facts(record) | result_facts(record)
