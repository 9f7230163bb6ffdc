"""Each test here runs once per data plane that the kernel has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemons.data_plane.network import Network
from tests.daemons.ha_b.certificates import Authority
from tests.kernel.planes import data_planes, has_mip6

collect_ignore = [] if has_mip6() else ["test_kernel_peer.py"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("data_plane", data_planes(), scope="module")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, data_plane: str) -> Iterator[Network]:
    """HA-B, HA-PP and mobile node are running; the mobile node is registered. One for all tests of a data plane."""
    folder = tmp_path_factory.mktemp("network")
    made = Network(folder, Authority(folder), data_plane)
    try:
        made.serve()
        yield made
    finally:
        made.close()
