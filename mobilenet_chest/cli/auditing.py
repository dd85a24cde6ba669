"""The command that looks at the data themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.reporting import reporting
from mobilenet_chest.errors import ConfigError

if TYPE_CHECKING:
    from mobilenet_chest.data.audit import Audit

SHOWN = 5
"""Images shown of each finding; JSON has all."""


def audit(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT.yaml] [key=value ...]", help="Without a file: data.dataset=… data.path=…"),
    ] = None,
    groups_from: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Whose images these are: columns split, row and patient.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Copies, patients in two splits, shifts between splits and damaged images, test split included."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.config import load
        from mobilenet_chest.data.audit import audit as look

        files = [argument for argument in arguments or [] if "=" not in argument]
        if len(files) > 1:
            raise ConfigError([f"one experiment file is audited at a time, not {len(files)}: {', '.join(files)}"])
        config = load(Path(files[0]) if files else None, [text for text in arguments or [] if "=" in text])
        found = look(config.data, test=True, table=groups_from)
        if as_json:
            output.print_json(found.as_dict())
        else:
            _print(found)


def _print(found: Audit) -> None:
    from rich.table import Table

    from mobilenet_chest.cli import output

    output.line(found.source)
    table = Table()
    for heading in ("split", "rows", *next(iter(found.counts.values())), "brightness", "contrast"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split, counts in found.counts.items():
        total = sum(counts.values())
        shares = [f"{count} ({count / total:.1%})" for count in counts.values()]
        table.add_row(split, str(total), *shares, f"{found.brightness[split]:.1f}", f"{found.contrast[split]:.1f}")
    output.out.print(table)
    for finding in found.findings:
        output.line(f"{finding.severity}: {finding.text}")
        for image in finding.images[:SHOWN]:
            output.line(f"  {image}")
        if len(finding.images) > SHOWN:
            output.line(f"  and {len(finding.images) - SHOWN} more; --json has all")
    if all(finding.severity == "note" for finding in found.findings):
        output.line("nothing speaks against these data")
