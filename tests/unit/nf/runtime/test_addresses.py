"""Addresses in text and octets."""

from __future__ import annotations

import pytest
from closedloop_nf.runtime.addresses import Prefix, from_text, to_text
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(min_size=16, max_size=16))
def test_text_and_octets_are_the_same_address(address: bytes) -> None:
    assert from_text(to_text(address)) == address


@pytest.mark.parametrize("text", ["", "1.2.3.4", "::1%lo", "::1/64", "1::2::3", "::g", "2001:db8::\0"])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="2001:db8::1"):
        from_text(text)


def test_octets_that_are_no_address_are_still_readable() -> None:
    assert to_text(b"\x01\n") == r"b'\x01\n'"


@given(st.integers(0, 128), st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_prefix_contains_what_begins_with_it(length: int, address: bytes, other: bytes) -> None:
    bits = int.from_bytes(address, "big")
    network = bits >> (128 - length) << (128 - length)
    prefix = Prefix(network.to_bytes(16, "big"), length)
    assert prefix.contains(address)
    assert prefix.contains(other) is (int.from_bytes(other, "big") >> (128 - length) == bits >> (128 - length))
    assert Prefix.from_text(str(prefix)) == prefix
