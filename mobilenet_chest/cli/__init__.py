"""The command line: a file for each command with its options and its printing; only this package prints."""

from mobilenet_chest.cli.app import main

__all__ = ["main"]
