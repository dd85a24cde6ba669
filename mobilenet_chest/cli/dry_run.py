"""What ``--dry-run`` of ``sweep`` and ``train`` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mobilenet_chest import plugins
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config import flatten
from mobilenet_chest.data.warnings import data_warnings
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.sweep.findings import notes
from mobilenet_chest.sweep.scheduler import epochs_to_expect
from mobilenet_chest.sweep.splits import rows_of_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep.first_trials import FirstTrial
    from mobilenet_chest.sweep.sampler_choice import SamplerChoice
    from mobilenet_chest.training.stages import Prepared


def print_dry_run(
    config: Config, prepared: Prepared, as_json: bool, trials: int | None = None, confirmations: int = 0,
    sampler: SamplerChoice | None = None, first: Sequence[FirstTrial] = (),
) -> None:  # fmt: skip
    """Print the resolved experiment, rows and parameters, and what would be done.

    Args:
        config: The experiment.
        prepared: Its data and model.
        as_json: Print one JSON document instead.
        trials: Trials that a sweep would still run; ``None`` for a single training.
        confirmations: Trainings that would confirm the sweep's best trials.
        sampler: The sweep's sampler.
        first: The values that the study begins with.
    """
    document = _document(config, prepared, trials, confirmations)
    if sampler is not None:
        document["sampler"] = sampler._asdict()
    if first:
        document["first_trials"] = [each._asdict() for each in first]
    if as_json:
        print_json(document)
        return
    fields = Table(["field", "value"], left=["field", "value"], title=f"{config.name}: nothing is trained or written")
    for key, value in flatten(config.training_fields()).items():
        fields.add_row(key, json.dumps(value) if not isinstance(value, str) else value)
    out.print(fields)
    for split, counts in prepared.data.counts().items():
        line(f"{split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    if config.data.drop_duplicates:
        line(f"left out of train as duplicates: {prepared.data.dropped}")
    line(
        f"parameters: {document['parameters']:,} in all, {document['parameters_stage1']:,} trained in stage 1; "
        f"device {prepared.device}"
    )
    for plugin in plugins.active():
        line(f"plugin {plugin.summary()}")
    line(f"epochs: {config.stage1.epochs} with the backbone frozen, {config.stage2.epochs} with all layers")
    if trials is not None:
        if sampler is not None and sampler.reason:
            line(f"sampler: {sampler}")
        for each in first:
            line(f"first trials: {each}")
        _print_search(config, prepared, trials, confirmations)


def _document(config: Config, prepared: Prepared, trials: int | None, confirmations: int) -> dict[str, Any]:
    parameters, parameters_stage1 = parameter_counts(prepared.model)
    document: dict[str, Any] = {
        "config": config.resolved(),
        "rows": prepared.data.counts(),
        "parameters": parameters,
        "parameters_stage1": parameters_stage1,
        "epochs": {"stage1": config.stage1.epochs, "stage2": config.stage2.epochs},
        "device": str(prepared.device),
        "data_digest": prepared.data.digest,
        "warnings": data_warnings(config.data, prepared.data),
    } | ({} if trials is None else {"trials": trials})
    if config.data.drop_duplicates:
        document["dropped_duplicates"] = prepared.data.dropped
    if config.study.confirm is not None and trials is not None:
        document["confirmations"] = confirmations
    if config.study.scheduler != "none" and trials is not None:
        document["scheduler"] = epochs_to_expect(config)
    return document


def _print_search(config: Config, prepared: Prepared, trials: int, confirmations: int) -> None:
    for path, distribution in config.search.items():
        fields = distribution.model_dump(exclude_defaults=True)
        line(f"search {path}: " + ", ".join(f"{key} {value}" for key, value in fields.items()))
    line(f"trials to come: {trials} of {config.study.trials}{rows_of_trials(config, prepared.data)}")
    if config.study.scheduler == "freeze_thaw":
        stop = config.study.stop_rule
        line(
            f"epochs go to the most promising trial, {config.study.freeze_thaw.slice} of stage 2 at a time; epochs of "
            f"all trials: at most {epochs_to_expect(config)['epochs_at_most']}"
        )
        line(f"the study ends when no trial is expected to gain {stop.gain:g} of {config.study.metric} in {stop.per}")
    if config.study.scheduler == "asha":
        expected = epochs_to_expect(config)
        line(
            f"trials are paused after epochs {', '.join(map(str, expected['rungs']))} of "
            f"{config.stage1.epochs + config.stage2.epochs}; epochs of all trials: about {expected['epochs_usually']}, "
            f"at most {expected['epochs_at_most']} ({expected['epochs_unpaused']} if none were paused)"
        )
    for note in notes(config):
        line(f"note: {note}")
    if confirm := config.study.confirm:
        line(
            f"trainings to confirm the best: {confirmations} "
            f"(up to {confirm.top} trials, {confirm.seeds} new seeds each)"
        )
