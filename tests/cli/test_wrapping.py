"""Prose in lines of a width: words and commands stay whole."""

from __future__ import annotations

import io
import sys

import pytest

from mobilenet_chest import logs
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import err, error_line, line
from mobilenet_chest.cli.wrapping import wrapped

COMMAND = "mobilenet-chest promote my-study --name a-model --alias champion --dry-run --even-if-worse"
NOTE = (
    "note: all trials are tied: the validation images cannot tell them apart, so fewer fields or more images; lr=1e-3 "
    f"(see `{COMMAND}`), and then: {COMMAND}"
)


class Screen(io.StringIO):
    """A stream that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return stdout and stderr in one, a terminal of 80 columns; pytest replaces both before each test's body."""
    screen = Screen()
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_lines_end_between_words_and_nothing_is_lost() -> None:
    for width in range(20, 200, 7):
        lines = wrapped(NOTE, width).split("\n")
        assert " ".join(each.strip() for each in lines) == NOTE
        assert all(each.startswith("  ") for each in lines[1:])
        assert all(len(each) <= width or COMMAND in each for each in lines if " " in each.strip())
        assert sum(COMMAND in each for each in lines) == 2 if len(lines) > 1 else 1


def test_what_fits_stays_as_it_is() -> None:
    for text in ("", "  two  words", "x" * 80, "a\nb"):
        assert wrapped(text, 80) == text


def test_an_indent_is_kept_and_lines_stay_apart() -> None:
    assert wrapped("    one two three\n\nfour", 12) == "    one two\n      three\n\nfour"


def test_a_word_that_is_too_long_stays_whole() -> None:
    address = "http://127.0.0.1:5000/#/experiments/1/runs?" + "x" * 60
    assert wrapped(f"next: {address} there", 40) == f"next:\n  {address}\n  there"


def test_prose_on_a_terminal_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    for say in (line, error_line, lambda text: err.print(text, markup=False)):
        screen.seek(0)
        screen.truncate()
        say(NOTE)
        assert screen.getvalue() == wrapped(NOTE, 80) + "\n" != NOTE + "\n"


def test_the_log_on_a_terminal_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with exit_codes():
        logs.logging.getLogger(logs.LOGGER).warning("%s", NOTE)
    assert screen.getvalue() == wrapped(NOTE, 80) + "\n"


def test_prose_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    line(NOTE)
    error_line(NOTE)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (NOTE + "\n", NOTE + "\n")
