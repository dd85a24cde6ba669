"""What is on record of the images: their source, rows, classes and preparation, and what the audit finds in them."""

from __future__ import annotations

from collections.abc import Mapping

from mobilenet_chest.config import Config
from mobilenet_chest.config.data import ClassGroup
from mobilenet_chest.data.audit import Audit
from mobilenet_chest.report.checklists.record import Record
from mobilenet_chest.selection.cohorts import cohort_facts
from mobilenet_chest.tracking import tags

DATA_FACTS = ("data", "eligibility", "preparation", "checks", "classes", "input", "splits", "disjoint", "differences",
              "imbalance")  # fmt: skip


def data_facts(record: Record) -> dict[str, str]:
    """Return the facts :data:`DATA_FACTS`."""
    config, (class0, class1) = record.run.config, record.run.classes
    side = config.data.image_size
    resolutions = config.stage2.resolutions
    sizes = "" if resolutions is None else f", in stage 2 to {', '.join(map(str, resolutions))} one after the other"
    return {
        "data": f"data set {record.tags[tags.DATASET]}, digest of train and val {record.tags.get(tags.DATA_DIGEST)}",
        "eligibility": _eligibility(config, record.run.classes),
        "preparation": f"resized to {side} × {side} pixels{sizes}",
        "checks": _checks(record.audit),
        "classes": f"label 0 is {class0}, label 1 is {class1}",
        "input": f"the only predictor is the image, {side} × {side} pixels",
        "splits": "; ".join(f"{split}: {_counts(counts)}" for split, counts in record.rows.items()),
        "disjoint": _disjoint(config, record.audit),
        "differences": _differences(record),
        "imbalance": _imbalance(config),
    }


def _eligibility(config: Config, classes: tuple[str, str]) -> str:
    labels = config.data.classes
    if labels is None:
        text = "all images of the file"
    else:
        named = (
            f"{each.name} ({', '.join(each.labels)})" if isinstance(each, ClassGroup) else name
            for each, name in zip(labels, classes, strict=True)
        )
        text = f"all images of the file that are {' or '.join(named)}"
    if config.data.drop_duplicates:
        text += ", without training images that are also in val or stand earlier in train"
    return text


def _checks(audited: Audit | str) -> str:
    if isinstance(audited, str):
        return f"no audit: {audited}"
    if not audited.findings:
        return "an audit for copies, patients in two splits, shifts and damage found nothing"
    return "an audit found: " + " ".join(f"({finding.severity}) {finding.text}" for finding in audited.findings)


def _counts(counts: Mapping[str, int]) -> str:
    """Return rows and classes of a split, the second class with its share."""
    (class0, zeros), (class1, ones) = counts.items()
    rows = zeros + ones
    return f"{rows} images, {zeros} {class0} and {ones} {class1} ({ones / max(rows, 1):.1%})"


def _disjoint(config: Config, audited: Audit | str) -> str:
    how = "the split of the file"
    if config.data.divided:
        folds = "" if config.data.folds is None else f" into {config.data.folds} folds"
        how = f"train and val divided again{folds}, seed {config.data.split_seed or 0}"
    if isinstance(audited, str):
        return how
    if audited.shared is None:
        return f"{how}; the file names no patients, so splits are apart by image only"
    if config.data.divided:
        return f"{how}, each patient's images in one of them"
    shared = [f"{' and '.join(each.splits)}: {each.patients}" for each in audited.shared if each.patients]
    return f"{how}; patients in two splits: {'; '.join(shared) or 'none'}"


def _differences(record: Record) -> str:
    """Return prevalence by split and cohort, where there is more than the data of the development."""
    cohorts = cohort_facts(record.run.run)
    if "test" not in record.rows and not cohorts:
        return ""
    shares = [f"{split} {counts[record.run.classes[1]] / max(sum(counts.values()), 1):.1%}"
              for split, counts in record.rows.items()]  # fmt: skip
    shares += [f"cohort {name} {float(str(fact['prevalence'])):.1%}" for name, fact in cohorts.items()]
    return f"share of {record.run.classes[1]}: {', '.join(shares)}"


def _imbalance(config: Config) -> str:
    weight = config.loss.pos_weight
    sampling = {
        "all": "each training image once in an epoch",
        "oversample": "images of the smaller class are repeated",
        "balanced": "half of each batch from each class",
    }[config.data.sampling]
    return f"sampling: {sampling}; weight of class 1 in the loss: {1 if weight is None else weight}"
