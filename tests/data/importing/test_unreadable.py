"""Why a file cannot be used, as a terminal may show it."""

from __future__ import annotations

from mobilenet_chest.data.importing.unreadable import Unreadable


def test_a_reason_has_nothing_that_a_terminal_obeys() -> None:
    assert str(Unreadable("a\x1b[2Jb\nc é")) == "a?[2Jb?c é"
