"""The room a Ray cluster has, and addresses where there is none."""

from __future__ import annotations

import socket

import pytest

from mobilenet_chest.errors import ClusterError
from mobilenet_chest.sweep.ray_cluster import connected, room, share


@pytest.mark.parametrize(
    ("nodes", "workers", "gpu", "cpus"),
    [
        ([(16, 0), (16, 0)], 4, False, 8),
        ([(16, 0), (16, 0)], 3, False, 8),  # 10 would leave the third without a place
        ([(4, 0), (2, 0)], 2, False, 2),
        ([(0, 0), (2, 0)], 5, False, 1),
        ([(8, 2), (16, 0)], 4, True, 4),
        ([(8, 4), (16, 1)], 2, True, 8),
        ([(8, 0)], 2, True, 0),
        ([(0, 1)], 1, True, 0),
        ([], 1, False, 0),
    ],
)
def test_a_workers_share_of_the_cpus(
    nodes: list[tuple[float, float]], workers: int, gpu: bool, cpus: int
) -> None:  # fmt: skip
    assert share(nodes, workers, gpu) == cpus
    if cpus:
        assert room(nodes, cpus, gpu) >= min(workers, room(nodes, 1, gpu))


@pytest.mark.parametrize("address", ["nonsense", "ray://127.0.0.1:10001", ":6379", "127.0.0.1:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ClusterError) as refused, connected(address, 1):
        pass
    assert str(refused.value) == (
        f"Ray cluster {address}: not an address; allowed: HOST:PORT of its head node, or auto"
    )


def test_no_cluster_at_an_address_is_seen_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    seen = pytest.raises(ClusterError, match=rf"127\.0\.0\.1:{port} \(.*refused\).*`ray start --head`")
    with seen, connected(f"127.0.0.1:{port}", 1):
        pass
