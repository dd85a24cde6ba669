"""The command ``data audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import GroupsFrom, Json, OptionalExperiment, split_arguments
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config import load
from mobilenet_chest.data.audit import audit as examine
from mobilenet_chest.errors import ConfigError

if TYPE_CHECKING:
    from mobilenet_chest.data.audit import Audit

SHOWN_IMAGES = 5
"""Images printed for each finding; JSON has all."""


def audit(arguments: OptionalExperiment = None, groups_from: GroupsFrom = None, as_json: Json = False) -> None:
    """Find duplicates, patients in two splits, shifts and damaged images.

    The test split is examined as well. Without a file, name the data: data.dataset=… data.path=…

    Example: mobilenet-chest data audit small.yaml
    """
    with exit_codes():
        files, overrides = split_arguments(arguments)
        if len(files) > 1:
            names = ", ".join(map(str, files))
            raise ConfigError([f"one experiment file is audited at a time, not {len(files)}: {names}"])
        config = load(files[0] if files else None, overrides)
        found = examine(config.data, test=True, table=groups_from)
        if as_json:
            print_json(found.as_dict())
        else:
            _print_audit(found)


def _print_audit(found: Audit) -> None:
    line(found.source)
    rows = Table(
        ["split", "rows", *next(iter(found.counts.values())), "brightness", "contrast"], left=["split"]
    )  # fmt: skip
    for split, counts in found.counts.items():
        total = sum(counts.values())
        shares = [f"{count} ({count / total:.1%})" for count in counts.values()]
        rows.add_row(split, str(total), *shares, f"{found.brightness[split]:.1f}", f"{found.contrast[split]:.1f}")
    out.print(rows)
    for finding in found.findings:
        line(f"{finding.severity}: {finding.text}")
        for image in finding.images[:SHOWN_IMAGES]:
            line(f"  {image}")
        if len(finding.images) > SHOWN_IMAGES:
            line(f"  and {len(finding.images) - SHOWN_IMAGES} more; --json has all")
    if all(finding.severity == "note" for finding in found.findings):
        line("no problems found in these data")
