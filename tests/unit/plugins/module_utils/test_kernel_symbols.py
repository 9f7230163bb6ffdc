"""Which symbols a kernel's configuration lacks, by its release."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_symbols
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_symbols import Symbol
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

WANTED = [Symbol("IPV6_MIP6"), Symbol("XFRM_USER"), Symbol("INET6_XFRM_MODE_TUNNEL", "5.2", "it is part of CONFIG_XFRM")]
TEXT = """
# CONFIG_IPV6_MIP6 is not set
CONFIG_XFRM_USER=m
CONFIG_DEFAULT_HOSTNAME="(none)"
"""


def test_a_module_counts_and_a_comment_does_not() -> None:
    assert kernel_symbols.missing(kernel_symbols.parse(TEXT), WANTED, "6.1.0-18-amd64") == ["IPV6_MIP6"]


@pytest.mark.parametrize(("release", "needed"), [("4.14.336", True), ("5.1.21", True), ("5.2.0-rc1", False), ("5.10.0-30-amd64", False)])
def test_a_symbol_is_missing_only_from_releases_that_have_it(release: str, needed: bool) -> None:
    config = {"IPV6_MIP6": "y", "XFRM_USER": "y"}
    assert kernel_symbols.missing(config, WANTED, release) == (["INET6_XFRM_MODE_TUNNEL"] if needed else [])
    told = kernel_symbols.not_needed(WANTED, release)
    assert told == ({} if needed else {"INET6_XFRM_MODE_TUNNEL": "since 5.2: it is part of CONFIG_XFRM"})


def test_a_configuration_is_read_compressed_or_not(tmp_path: Path) -> None:
    plain, packed = tmp_path / "config", tmp_path / "config.gz"
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.encode()))
    assert kernel_symbols.read(plain) == kernel_symbols.read(packed) == {"XFRM_USER": "m", "DEFAULT_HOSTNAME": '"(none)"'}


def test_a_damaged_configuration_is_told_by_name(tmp_path: Path) -> None:
    packed = tmp_path / "config.gz"
    packed.write_bytes(gzip.compress(TEXT.encode() * 100)[:40])
    with pytest.raises(MobilityError, match=r"config\.gz cannot be read as a kernel's configuration"):
        kernel_symbols.read(packed)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "IPV6 MIP6"}, "'IPV6 MIP6' is not the name of a kernel's symbol"),
        ({"name": "XFRM_USER", "dropped_in": "next"}, "'next' is not a kernel release"),
    ],
)
def test_a_wrong_symbol_is_refused(entry: dict[str, str], message: str) -> None:
    with pytest.raises(MobilityError, match=message):
        kernel_symbols.symbols([entry])


def test_a_symbol_may_be_given_as_a_configuration_has_it() -> None:
    assert kernel_symbols.symbols([{"name": "CONFIG_IPV6_MIP6"}]) == [Symbol("IPV6_MIP6")]
