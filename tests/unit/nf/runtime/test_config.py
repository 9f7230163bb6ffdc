"""A configuration file is accepted whole or refused in one line that names field and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from closedloop_nf.runtime.addresses import Address, Prefix, from_text
from closedloop_nf.runtime.config import ConfigError, FieldError, HttpConfig, Name, PositiveMs, load, parse, read_key, read_secret, schema


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: Address
    beat_ms: PositiveMs = 100


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    links: list[Inner] = []
    prefix: Prefix | None = None
    database: Path | None = None
    spi: Annotated[int, msgspec.Meta(ge=256)] = 256

    def __post_init__(self) -> None:
        if self.spi == 999:
            raise FieldError(("spi", "name"), "spi 999 is taken; choose another")


GOOD = """
name: ha-pp-a
links:
  - {address: "2001:db8::1", beat_ms: 50}
prefix: 2001:db8:1::/64
database: state/ha-b.sqlite
"""


def test_a_good_file_becomes_typed_values_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(GOOD)
    got = load(tmp_path / "c.yml", Settings)
    assert got.links[0].address == from_text("2001:db8::1")
    assert got.links[0].beat_ms == 50
    assert got.prefix == Prefix.from_text("2001:db8:1::/64")
    assert got.database == tmp_path / "state/ha-b.sqlite"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("name: a\nlinks: [{address: 5}]", "links[0].address", ["got int", "str"]),
        ("name: a\nlinks: [{address: 'x::y::z'}]", "links[0].address", ["2001:db8::1"]),
        ("name: a\nlinks: [{address: '::1%eth0'}]", "links[0].address", ["zone"]),
        ("name: a\nlinks: [{address: '::1', beat_ms: '100'}]", "links[0].beat_ms", ["expected int", "got str"]),
        ("name: a\nlinks: [{address: '::1', beat_ms: 0}]", "links[0].beat_ms", ["got int", ">= 1"]),
        ("name: a\nlinks: [{address: '::1', beat: 0}]", "links[0].beat", ["not a field"]),
        ("name: a\nport: 3", "port", ["not a field", "prefix"]),
        ("links: []", "name", ["missing", "add it"]),
        ("name: A B", "name", ["got str"]),
        ("name: a\nprefix: 2001:db8::1/64", "prefix", ["host bits"]),
        ("name: a\nprefix: '2001:db8::'", "prefix", ["/64"]),
        ("name: a\nprefix: ::/129", "prefix", ["0..128"]),
        ("name: a\nspi: 999", "spi, name", ["choose another"]),
        ("name: a\nname: b", "line 2", ["twice"]),
        ("name: [", "line 1", ["YAML"]),
        ("- a", "(file)", ["mapping", "list"]),
        ("", "(file)", ["null"]),
        ("name: a\ndatabase: ''", "database", ["empty"]),
        ('name: a\n"x\\ny": 1', "'x\\ny'", ["not a field"]),
    ],
)
def test_an_error_is_one_line_with_file_field_and_remedy(text: str, field: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Settings, "/etc/x.yml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("/etc/x.yml: ")
    assert caught.value.field == field, message
    for word in words:
        assert word in message
    assert ";" in message, "no remedy"


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yml", Settings)


def test_a_secret_open_to_others_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("  s3cret\n")
    secret.chmod(0o600)
    assert read_secret(secret, "token_file") == b"s3cret"
    for mode in (0o604, 0o620, 0o644):
        secret.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 0600") as caught:
            read_secret(secret, "token_file")
        assert "s3cret" not in str(caught.value)
        assert caught.value.field == "token_file"
    secret.chmod(0o600)
    secret.write_text("\n")
    with pytest.raises(ConfigError, match="0 octets"):
        read_secret(secret, "token_file")
    with pytest.raises(ConfigError, match="regular"):
        read_secret(tmp_path, "token_file")


def test_a_mobility_key_is_hexadecimal_and_at_least_16_octets(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("00112233445566778899aabbccddeeff")
    assert read_key(key, "key_file") == bytes.fromhex("00112233445566778899aabbccddeeff")
    key.write_text("0011")
    with pytest.raises(ConfigError, match="2 octets"):
        read_key(key, "key_file")
    key.write_text("zz" * 16)
    with pytest.raises(ConfigError, match="hexadecimal") as caught:
        read_key(key, "key_file")
    assert "zz" not in str(caught.value)


def test_the_schema_knows_every_field() -> None:
    text = json.dumps(schema(Settings))
    for word in ("beat_ms", "ipv6", "prefix", "minLength"):
        assert word in text
    assert "token_file" in json.dumps(schema(HttpConfig))
