"""A head or a trailer without an end does not fill the memory; a long body may come in any parts."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers.serving import levels, listening, service_of

from mobilenet_chest.deploy.serving.protocol import MAX_HEAD

SECONDS = 30
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer(start: bytes, more: bytes = b"") -> bytes:
    """Return the first line that a server answers, or b"" where it closes the connection."""
    with service_of(levels) as service, listening(service) as address:
        at = urlsplit(address)
        with socket.create_connection((str(at.hostname), int(at.port or 0)), SECONDS) as connection:
            connection.sendall(start)
            try:
                for begin in range(0, len(more), 4096):
                    connection.sendall(more[begin : begin + 4096])
                return connection.makefile("rb").readline()
            except (ConnectionResetError, BrokenPipeError):
                return b""


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nName: ", CHUNKED + b"1\r\nx\r\n0\r\nName: "],
    ids=["address", "header", "trailer"],
)
def test_what_does_not_end_is_refused(start: bytes) -> None:
    assert answer(start, b"x" * (20 * MAX_HEAD)) in (b"HTTP/1.1 400 Bad Request\r\n", b"")


def test_a_body_in_many_parts_is_taken() -> None:
    image = np.zeros((1, 400, 400), np.uint8)
    header = b"\x93NUMPY\x01\x00v\x00" + repr({"descr": "|u1", "fortran_order": False, "shape": image.shape}).encode()
    body = header.ljust(127) + b"\n" + image.tobytes()
    parts = [body[begin : begin + 512] for begin in range(0, len(body), 512)]
    more = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert answer(CHUNKED, more) == b"HTTP/1.1 200 OK\r\n"
