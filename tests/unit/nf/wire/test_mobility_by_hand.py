"""Mobility Header messages octet by octet as RFC 6275 section 6, RFC 4283, RFC 4285 and RFC 5142 draw them, and what is refused."""

from __future__ import annotations

import pytest
from closedloop_nf.wire import mobility as mh
from closedloop_nf.wire import mobility_options as opt
from closedloop_nf.wire.errors import ParseError, Reason
from closedloop_nf.wire.status import BindingErrorStatus, BindingStatus

A = bytes.fromhex("20010db8000100000000000000000aaa")
B = bytes.fromhex("20010db8000200000000000000000bbb")


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


BY_HAND: list[tuple[str, mh.MobilityMessage, str]] = [
    ("6.1.2 refresh request", mh.BindingRefreshRequest(), "3b00 00 00 0000 0000"),
    ("6.1.3 home test init", mh.HomeTestInit(b"cookie08"), "3b01 01 00 0000 0000 636f6f6b69653038"),
    ("6.1.4 care-of test init", mh.CareOfTestInit(b"cookie08"), "3b01 02 00 0000 0000 636f6f6b69653038"),
    ("6.1.5 home test", mh.HomeTest(0x1234, b"cookie08", b"token_08"), "3b02 03 00 0000 1234 636f6f6b69653038 746f6b656e5f3038"),
    ("6.1.6 care-of test", mh.CareOfTest(0x1234, b"cookie08", b"token_08"), "3b02 04 00 0000 1234 636f6f6b69653038 746f6b656e5f3038"),
    ("6.1.7 update, no option", mh.BindingUpdate(0x0102, True, True, False, True, 0x0304), "3b01 05 00 0000 0102 d000 0304 0102 0000"),
    ("6.1.7 update, each flag alone: L", mh.BindingUpdate(0, False, False, True, False, 0), "3b01 05 00 0000 0000 2000 0000 0102 0000"),
    (
        "6.2.5 alternate care-of address at 8n+6",
        mh.BindingUpdate(1, True, False, False, False, 2, (opt.AlternateCareOfAddress(B),)),
        "3b03 05 00 0000 0001 8000 0002 0100 0310" + B.hex(),
    ),
    (
        "6.2.6 and 6.2.7 return routability: nonces at 2n, authenticator at 8n+2 and at the very end",
        mh.BindingUpdate(1, True, False, False, False, 2, (opt.NonceIndices(7, 8), opt.BindingAuthorizationData(b"twelveoctets"))),
        "3b03 05 00 0000 0001 8000 0002 0404 0007 0008 050c" + b"twelveoctets".hex(),
    ),
    (
        "6.1.8 acknowledgement with 6.2.4 refresh advice",
        mh.BindingAcknowledgement(BindingStatus.SEQUENCE_OUT_OF_WINDOW, True, 0x0A0B, 0, (opt.BindingRefreshAdvice(900),)),
        "3b01 06 00 0000 87 80 0a0b 0000 0202 0384",
    ),
    ("6.1.9 binding error", mh.BindingError(BindingErrorStatus.UNKNOWN_BINDING, A), "3b02 07 00 0000 01 00" + A.hex()),
    ("RFC 5142 4.1 switch to two agents", mh.HomeAgentSwitch((A, B)), "3b04 0c 00 0000 02 00" + A.hex() + B.hex()),
    ("RFC 5142 4.1 switch to none", mh.HomeAgentSwitch(()), "3b00 0c 00 0000 00 00"),
    (
        "RFC 4283 identifier, RFC 4285 6 timestamp at 8n+2, RFC 4285 5 authentication at 4n+1",
        mh.BindingUpdate(
            1,
            True,
            True,
            False,
            False,
            2,
            (opt.MobileNodeIdentifier(1, b"a@b"), opt.ReplayProtection(0x0102030405060708), opt.Authentication(1, 0x100, b"twelveoctets")),
        ),
        "3b05 05 00 0000 0001 c000 0002 0804 01 614062"  # ends at 18
        "0a08 0102030405060708"  # 18 is 8n+2; ends at 28
        "00 0911 01 00000100" + b"twelveoctets".hex(),  # 29 is 4n+1; ends at 48
    ),
    ("unknown type", mh.UnknownMobility(200, octets("0102")), "3b00 c8 00 0000 0102"),
]


@pytest.mark.parametrize(("message", "text"), [pytest.param(message, text, id=name) for name, message, text in BY_HAND])
def test_the_octets_are_those_of_the_rfc(message: mh.MobilityMessage, text: str) -> None:
    assert mh.build_mobility(message).hex() == octets(text).hex()
    assert mh.parse_mobility(octets(text)) == message


def update(options: str) -> bytes:
    """A Binding Update with these option octets, padded by Pad1 to a multiple of 8."""
    data = octets("3b00 05 00 0000 0001 c000 0002" + options)
    data += bytes(-len(data) % 8)
    return data[:1] + bytes((len(data) // 8 - 1,)) + data[2:]


REFUSED: list[tuple[str, bytes, Reason, int]] = [
    ("nothing", b"", Reason.TRUNCATED, 0),
    ("seven octets", bytes(7), Reason.TRUNCATED, 7),
    ("a payload protocol", octets("0600 0500 0000 0000"), Reason.PAYLOAD_PROTO, 0),
    ("longer than what arrived", octets("3b01 0000 0000 0000"), Reason.TRUNCATED, 1),
    ("octets after the header", octets("3b00 0000 0000 0000 0000000000000000"), Reason.TRAILING_DATA, 8),
    ("too short for an update", octets("3b00 0500 0000 0000"), Reason.HEADER_LENGTH, 1),
    ("too short for a home test", octets("3b01 0300 0000 0000 0000000000000000"), Reason.HEADER_LENGTH, 1),
    ("too short for a binding error", octets("3b01 0700 0000 0000 0000000000000000"), Reason.HEADER_LENGTH, 1),
    ("more home agents than octets", octets("3b01 0c00 0000 0100 0000000000000000"), Reason.ADDRESS_COUNT, 6),
    ("option type without length", update("00 00 00 09"), Reason.OPTION_TRUNCATED, 15),
    ("option past the end", update("0404 0001"), Reason.OPTION_TRUNCATED, 13),
    ("PadN past the end", update("0103 0000"), Reason.OPTION_TRUNCATED, 13),
    ("refresh advice of 3", update("0203 000001"), Reason.OPTION_LENGTH, 13),
    ("refresh advice of none", update("0200"), Reason.OPTION_LENGTH, 13),
    ("alternate address of 15", update("030f" + "00" * 15), Reason.OPTION_LENGTH, 13),
    ("nonce indices of 2", update("0402 0001"), Reason.OPTION_LENGTH, 13),
    ("authorization data of 10", update("050a" + "00" * 10), Reason.OPTION_LENGTH, 13),
    ("identifier without octets", update("0801 01"), Reason.OPTION_LENGTH, 13),
    ("authentication without authenticator", update("0905 01 00000100"), Reason.OPTION_LENGTH, 13),
    ("timestamp of 4", update("0a04 00000000"), Reason.OPTION_LENGTH, 13),
    ("two alternate addresses", update("0310" + A.hex() + "0310" + B.hex()), Reason.OPTION_DUPLICATE, 30),
    ("two MN-HA authentications", update(("0911 01 00000100" + "00" * 12) * 2), Reason.OPTION_DUPLICATE, 31),
]


@pytest.mark.parametrize(("data", "reason", "offset"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused_with_reason_and_place(data: bytes, reason: Reason, offset: int) -> None:
    with pytest.raises(ParseError) as caught:
        mh.parse_mobility(data)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)


def test_unknown_options_are_kept_and_those_after_them_still_found() -> None:
    parsed = mh.parse_mobility(update("c8 03 616263 0202 0005"))
    assert parsed.options == (opt.UnknownOption(200, b"abc"), opt.BindingRefreshAdvice(5))
    assert opt.find_option(parsed.options, opt.BindingRefreshAdvice) == opt.BindingRefreshAdvice(5)
    assert opt.find_option(parsed.options, opt.NonceIndices) is None


def test_an_unknown_option_may_be_empty_and_may_repeat() -> None:
    assert mh.parse_mobility(update("c800 c800")).options == (opt.UnknownOption(200, b""),) * 2


def test_both_authentication_subtypes_may_stand_side_by_side() -> None:
    parsed = mh.parse_mobility(update("0911 01 00000100" + "00" * 12 + "0911 02 00000100" + "00" * 12))
    assert [type(option) for option in parsed.options] == [opt.Authentication, opt.Authentication]


def test_reserved_bits_and_padding_content_are_ignored() -> None:
    data = bytearray(mh.build_mobility(mh.BindingUpdate(1, True, True, False, False, 2)))
    data[3] = 0xFF  # Reserved
    data[8] |= 0x0F  # reserved flags, among them R and M of other RFCs
    data[9] = 0xFF
    data[14] = 0xEE  # inside PadN
    assert mh.parse_mobility(bytes(data)) == mh.BindingUpdate(1, True, True, False, False, 2)


def test_flags_are_the_wire_bits_the_link_protocol_carries() -> None:
    assert mh.BindingUpdate(0, True, True, True, True, 0).flags == 0xF000
    assert mh.BindingUpdate(0, True, True, False, False, 0).flags == mh.FLAG_ACKNOWLEDGE | mh.FLAG_HOME_REGISTRATION


UNBUILDABLE: list[mh.MobilityMessage] = [
    mh.BindingUpdate(65536, True, True, False, False, 0),
    mh.BindingUpdate(0, True, True, False, False, -1),
    mh.BindingAcknowledgement(256, False, 0, 0),
    mh.BindingError(1, b"short"),
    mh.HomeTestInit(b"short"),
    mh.HomeAgentSwitch((b"short",)),
    mh.HomeAgentSwitch((A,) * 128),
    mh.UnknownMobility(5, bytes(2)),
    mh.UnknownMobility(200, bytes(3)),
    mh.BindingRefreshRequest((opt.UnknownOption(2, b""),)),
    mh.BindingRefreshRequest((opt.UnknownOption(1, b""),)),
    mh.BindingRefreshRequest((opt.UnknownOption(200, bytes(256)),)),
    mh.BindingRefreshRequest((opt.BindingRefreshAdvice(65536),)),
    mh.BindingRefreshRequest((opt.AlternateCareOfAddress(bytes(4)),)),
    mh.BindingRefreshRequest((opt.BindingAuthorizationData(bytes(13)),)),
    mh.BindingRefreshRequest((opt.MobileNodeIdentifier(1, b""),)),
    mh.BindingRefreshRequest((opt.Authentication(1, 256, b""),)),
    mh.BindingRefreshRequest((opt.ReplayProtection(1 << 64),)),
]


@pytest.mark.parametrize("message", UNBUILDABLE, ids=repr)
def test_a_field_out_of_range_is_not_built(message: mh.MobilityMessage) -> None:
    with pytest.raises(ValueError, match=r"range|octets|octet|known|8n\+2|16 are needed"):
        mh.build_mobility(message)
