"""Library code logs; the command line shows it, and a Python caller is left alone."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mobilenet_chest import logs


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The package's logger, put back as it was after each test."""
    package = logging.getLogger(logs.LOGGER)
    handlers, level, propagate = list(package.handlers), package.level, package.propagate
    package.handlers = []
    yield package
    package.handlers, package.propagate = handlers, propagate
    package.setLevel(level)


def test_each_message_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show()
    module = logging.getLogger("mobilenet_chest.training.stages")
    module.info("%d epochs", 3)
    module.warning("a checkpoint is damaged")
    module.debug("not shown")
    logging.getLogger("another.package").info("not ours")
    assert capsys.readouterr() == ("", "3 epochs\na checkpoint is damaged\n")


def test_shown_once_however_often_it_is_asked_for(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.show()
    logs.show(logging.WARNING)
    assert len(logger.handlers) == 1
    logger.info("not shown any more")
    logger.warning("once")
    assert capsys.readouterr().err == "once\n"


def test_the_stderr_of_the_moment_is_written_to(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress display replaces ``sys.stderr`` while it is shown: lines must go above it."""
    logs.show()
    display = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", display)
        logger.info("above the bar")
    assert display.getvalue() == "above the bar\n"


def test_an_application_s_own_handlers_do_not_repeat_it(logger: logging.Logger) -> None:
    root, shown = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(shown)
    root.addHandler(handler)
    try:
        logger.propagate = True
        logger.warning("the application's")
        logs.show()
        logger.warning("the command line's")
    finally:
        root.removeHandler(handler)
    assert shown.getvalue() == "the application's\n"


def test_a_python_caller_sees_warnings_and_no_more() -> None:
    program = (
        "import logging, mobilenet_chest; logger = logging.getLogger('mobilenet_chest.data'); "
        "logger.info('in passing'); logger.warning('to act on')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "to act on\n")


def test_another_handler_changes_nothing(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    kept = io.StringIO()
    logger.addHandler(logging.StreamHandler(kept))
    logs.show()
    logger.info("in passing")
    assert (capsys.readouterr().err, kept.getvalue()) == ("in passing\n", "in passing\n")


def test_a_level_that_was_asked_for_stays(logger: logging.Logger) -> None:
    assert (logs.shown_level(), logs.is_quiet()) == (logger.getEffectiveLevel(), False)
    for level, quiet in ((logging.WARNING, True), (logging.INFO, False), (logging.DEBUG, False)):
        logs.show(level)
        logs.show()
        assert (logs.shown_level(), logs.is_quiet()) == (level, quiet)
