"""What is wrong with one file of a set, which the others are imported without."""

from __future__ import annotations


class Unreadable(Exception):
    """A file cannot be used.

    Args:
        reason: One line, which follows the file's name. Characters that a terminal would obey become ``?``: some of it
            may come from the file.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("".join(character if character.isprintable() else "?" for character in reason))
