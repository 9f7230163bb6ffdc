"""RFC 4285: the authenticator against one computed here from the RFC's words, every outcome of `verify`, timestamps."""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address

import pytest
from closedloop_nf.wire import authentication as auth
from closedloop_nf.wire import mobility as mh
from closedloop_nf.wire import mobility_options as opt
from closedloop_nf.wire.errors import ParseError, Reason
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.nf.wire import strategies as some

CARE_OF = IPv6Address("2001:db8:200::5").packed
HOME = IPv6Address("2001:db8:100::5").packed
HOME_AGENT = IPv6Address("2001:db8:100::1").packed
KEY = bytes(range(16))
SPI = 0x01020304


def hmac_sha1(key: bytes, text: bytes) -> bytes:
    """RFC 2104, from its definition."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha1(bytes(octet ^ 0x36 for octet in block) + text).digest()
    return hashlib.sha1(bytes(octet ^ 0x5C for octet in block) + inner).digest()


def authenticate(message: auth.Authenticated) -> bytes:
    return auth.authenticate(message, care_of_address=CARE_OF, home_address=HOME, spi=SPI, key=KEY)


def verify(data: bytes, *, care_of: bytes = CARE_OF, home: bytes = HOME, key: bytes = KEY) -> auth.VerifyResult:
    return auth.verify(data, care_of_address=care_of, home_address=home, key_for_spi=lambda spi: key if spi == SPI else None)


UPDATE = mh.BindingUpdate(7, True, True, False, False, 900, (opt.ReplayProtection(0x0102030405060708),))


def test_hmac_of_this_test_is_the_known_one() -> None:
    assert hmac_sha1(b"\x0b" * 20, b"Hi There").hex() == "b617318655057264e28bc0b6fb378c8ef146be00"  # RFC 2202 section 3, case 1


def test_a_binding_update_octet_by_octet() -> None:
    covered = bytes.fromhex(
        "3b05 05 00 0000 0007 c000 0384"
        "0104 00000000"  # PadN to 8n+2
        "0a08 0102030405060708"
        "00 0911 01 01020304"  # Pad1 to 4n+1
    )
    authenticator = hmac_sha1(KEY, CARE_OF + HOME + covered)[:12]
    assert authenticate(UPDATE).hex() == (covered + authenticator).hex()


def test_the_authenticator_of_that_update_has_not_changed_since_it_was_first_computed() -> None:
    assert authenticate(UPDATE)[-12:].hex() == "d5052fd2916a98f1e37537f6"


@some.unhurried
@given(some.authenticated_messages)
def test_what_is_authenticated_verifies_and_only_gains_the_option(message: auth.Authenticated) -> None:
    data = authenticate(message)
    assert verify(data) is auth.VerifyResult.OK
    assert verify(mh.seal(data, HOME, HOME_AGENT)) is auth.VerifyResult.OK
    parsed = mh.parse_mobility(data)
    assert parsed.options[:-1] == message.options
    assert isinstance(parsed.options[-1], opt.Authentication)
    assert (parsed.options[-1].subtype, parsed.options[-1].spi) == (1, SPI)


@some.unhurried
@given(some.authenticated_messages, st.data())
def test_any_change_up_to_the_end_of_the_authenticator_is_noticed(message: auth.Authenticated, draw: st.DataObject) -> None:
    data = bytearray(authenticate(message))
    parsed = mh.parse_mobility(bytes(data))
    assert isinstance(parsed.options[-1], opt.Authentication)
    end = bytes(data).rindex(parsed.options[-1].data) + 12
    at = draw.draw(st.integers(0, end - 1).filter(lambda octet: octet not in (4, 5)))
    data[at] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        result = verify(bytes(data))
    except ParseError:
        return
    assert result is not auth.VerifyResult.OK


@pytest.mark.parametrize("message", [UPDATE, mh.BindingAcknowledgement(0, False, 7, 900), mh.HomeAgentSwitch((HOME_AGENT,))])
def test_other_addresses_or_another_key_do_not_verify(message: auth.Authenticated) -> None:
    data = authenticate(message)
    assert verify(data, care_of=HOME_AGENT) is auth.VerifyResult.BAD_AUTHENTICATOR
    assert verify(data, home=HOME_AGENT) is auth.VerifyResult.BAD_AUTHENTICATOR
    assert verify(data, care_of=HOME, home=CARE_OF) is auth.VerifyResult.BAD_AUTHENTICATOR
    assert verify(data, key=KEY[::-1]) is auth.VerifyResult.BAD_AUTHENTICATOR


def with_options(*options: opt.MobilityOption) -> bytes:
    return mh.build_mobility(mh.BindingUpdate(7, True, True, False, False, 900, options))


MN_HA = opt.Authentication(1, SPI, bytes(12))


def test_a_message_without_the_option_is_missing_it() -> None:
    assert verify(with_options()) is auth.VerifyResult.MISSING
    assert verify(with_options(opt.Authentication(2, SPI, bytes(12)))) is auth.VerifyResult.MISSING


def test_an_unknown_spi_is_told() -> None:
    assert verify(with_options(opt.Authentication(1, SPI + 1, bytes(12)))) is auth.VerifyResult.UNKNOWN_SPI


@pytest.mark.parametrize("data", [b"\0", bytes(11), bytes(13), bytes(20)])
def test_an_authenticator_of_another_length_is_bad(data: bytes) -> None:
    assert verify(with_options(opt.Authentication(1, SPI, data))) is auth.VerifyResult.BAD_AUTHENTICATOR


def test_a_prefix_of_the_right_authenticator_is_bad() -> None:
    sealed = bytearray(authenticate(UPDATE))
    sealed[-18] -= 1  # option length
    sealed[-1] = 0  # the last octet of the authenticator becomes Pad1
    assert verify(bytes(sealed)) is auth.VerifyResult.BAD_AUTHENTICATOR


def test_an_option_that_the_authenticator_does_not_cover_is_told() -> None:
    for after in (opt.AlternateCareOfAddress(CARE_OF), opt.UnknownOption(200, b"")):
        assert verify(with_options(MN_HA, after)) is auth.VerifyResult.NOT_LAST


def test_a_second_mn_ha_option_is_told() -> None:
    once = opt.Authentication(1, SPI, bytes(12))
    buffer = mh.start(mh.BindingUpdate(7, True, True, False, False, 900))
    opt.append_options(buffer, (once, once))
    assert verify(mh.finish(buffer)) is auth.VerifyResult.NOT_LAST


def test_mn_aaa_may_follow_because_it_covers_what_precedes_it() -> None:
    assert verify(with_options(MN_HA, opt.Authentication(2, SPI, bytes(12)))) is auth.VerifyResult.BAD_AUTHENTICATOR


def test_the_checksum_field_does_not_matter() -> None:
    data = authenticate(UPDATE)
    assert verify(data[:4] + b"\xff\xff" + data[6:]) is auth.VerifyResult.OK


def test_a_message_that_already_holds_the_option_is_not_authenticated_again() -> None:
    with pytest.raises(ValueError, match="already holds"):
        authenticate(mh.BindingUpdate(7, True, True, False, False, 900, (MN_HA,)))


def test_octets_that_are_no_message_are_refused() -> None:
    with pytest.raises(ParseError) as caught:
        verify(bytes(7))
    assert caught.value.reason is Reason.TRUNCATED
    with pytest.raises(ParseError) as caught:
        verify(authenticate(UPDATE) + bytes(8))
    assert caught.value.reason is Reason.HEADER_LENGTH


def test_the_care_of_address_to_register_is_the_alternate_one_where_there_is_one() -> None:
    plain = mh.BindingUpdate(7, True, True, False, False, 900)
    assert auth.registered_care_of_address(plain, HOME) == HOME
    alternate = mh.BindingUpdate(7, True, True, False, False, 900, (opt.AlternateCareOfAddress(CARE_OF),))
    assert auth.registered_care_of_address(alternate, HOME) == CARE_OF


@pytest.mark.parametrize(
    ("unix", "ntp"),
    [
        (0.0, 2208988800 << 32),  # 1970
        (0.5, 2208988800 << 32 | 1 << 31),
        (2085978495.75, 0xFFFFFFFF << 32 | 3 << 30),  # the last second of NTP era 0
        (2085978496.0, 0),  # 2036-02-07 06:28:16 UTC, era 1
        (4102444800.0, (4102444800 - 2085978496) << 32),  # 2100
    ],
)
def test_timestamps_count_from_1900_and_pass_into_the_next_era(unix: float, ntp: int) -> None:
    assert auth.ntp_timestamp(unix) == ntp
    assert auth.unix_seconds(ntp) == unix


@some.unhurried
@given(st.floats(0, 4_000_000_000))
def test_timestamps_come_back_within_a_microsecond(unix: float) -> None:
    timestamp = auth.ntp_timestamp(unix)
    assert 0 <= timestamp < 1 << 64
    assert abs(auth.unix_seconds(timestamp) - unix) < 1e-6
