"""Output in any encoding: signs that it lacks are replaced by what reads most like them."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

HANDLER = "mobilenet-chest.readable"

READABLE = {
    "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "Δ": "d ", "±": "+/-", "≥": ">=", "≤": "<=", "→": "->",
    "’": "'", "‘": "'", "“": '"', "”": '"', "·": ".", "•": "*", "✓": "ok", "✗": "x",
}  # fmt: skip
"""Signs of this package's output."""

BARS = "▁▂▃▄▅▆▇█"
"""Signs of a curve in a line of text, from low to high."""


def replace_unknown_signs() -> None:
    """Let stdout and stderr replace the signs that their encoding lacks; a command then never fails for a sign."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def shown(text: str, encoding: str) -> str:
    """Return text as an encoding shows it: signs that it lacks are replaced, by more signs than one where needed."""
    try:
        return text.encode(encoding, HANDLER).decode(encoding)
    except LookupError:  # no encoding that Python knows
        return text


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_readable, error.object[error.start : error.end])), error.end


def _readable(sign: str) -> str:
    """Return ASCII for a sign: its own word, a letter without its accent, a digit for a bar, or a question mark."""
    if sign in READABLE:
        return READABLE[sign]
    if sign in BARS:
        return str(BARS.index(sign))
    base = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return base or ("-" if unicodedata.category(sign) == "Pd" else "?")


codecs.register_error(HANDLER, _replace)
