"""The command line: parsing of arguments and printing, nothing else."""

from mobilenet_chest.cli.commands import main

__all__ = ["main"]
