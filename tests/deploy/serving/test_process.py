"""How a port is closed: who has connected is answered, and nobody connects in between."""

from __future__ import annotations

import select
import socket

from mobilenet_chest.deploy.serving.process import _Listener
from mobilenet_chest.deploy.serving.server import bound_listener


def test_no_connection_comes_between_the_last_accepted_and_the_closing() -> None:
    listener = _Listener(fileno=bound_listener("127.0.0.1", 0).detach())
    listener.listen()
    listener.setblocking(False)
    address = listener.getsockname()
    with socket.create_connection(address) as early, socket.socket() as late:
        with listener.filled() as waiting:
            late.setblocking(False)
            late.connect_ex(address)
            assert select.select([], [late], [], 0.2)[1] == []  # it has no connection on which it could send
            listener.close()
        (accepted,) = waiting
        with accepted:
            assert accepted.getpeername() == early.getsockname()
            early.sendall(b"asked")
            accepted.setblocking(True)
            assert accepted.recv(5) == b"asked"
        # it asks again after a second, and hears that nobody listens
        assert select.select([], [late], [], 10)[1] == [late]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
