"""The source of a plugin: its bytes, and where its code failed."""

from __future__ import annotations

from importlib.abc import SourceLoader
from pathlib import Path

from mobilenet_chest.errors import ConfigError


def read_contents(path: Path) -> bytes:
    """Return the bytes of a plugin's file.

    Raises:
        ConfigError: It is no Python file, or cannot be read.
    """
    if path.suffix != ".py":
        raise ConfigError([f"plugins: {path} is no Python file; name a file that ends in .py"])
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"plugins: no file {path}; a path is relative to the experiment file"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"plugins: {path} cannot be read ({getattr(error, 'strerror', None) or error})"]) from None


class Contents(SourceLoader):
    """Compiles the very bytes whose digest was computed, and keeps no bytecode."""

    def __init__(self, path: Path, contents: bytes) -> None:
        self._path, self._contents = path, contents

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._contents


def raised(error: BaseException, path: Path) -> str:
    """Return what a plugin's code raised, and in which line of it, in one line."""
    trace, number = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            number = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error).split())[:200]
    where = f" (line {number})" if number else ""
    return f"raised {type(error).__name__}{f': {text}' if text else ''}{where}"
