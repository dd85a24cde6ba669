"""What a server takes on."""

from __future__ import annotations

from dataclasses import dataclass

from mobilenet_chest.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        max_batch: Images predicted at once.
        max_waiting: Images that may wait; a request beyond is refused.
        deadline: Seconds within which a request is answered or refused.
        max_bytes: Of a request's body.
    """

    max_batch: int = 16
    max_waiting: int = 64
    deadline: float = 10.0
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: One is too small.
        """
        for name, least in (("max_batch", 1), ("max_waiting", 1), ("deadline", 0.01), ("max_bytes", 1024)):
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name):g}: give at least {least:g}")
