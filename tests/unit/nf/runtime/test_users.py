"""A user in a configuration is one of this machine, or a number, and never root."""

from __future__ import annotations

import pwd
from pathlib import Path

import msgspec
import pytest
from closedloop_nf.runtime.config import ConfigError, ProcessUser, parse, schema


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: ProcessUser | None = None


def test_without_one_nothing_is_to_be_done() -> None:
    assert parse("{}", Settings).user is None


@pytest.mark.parametrize("text", ["65532", "'65532'"])
def test_a_number_stands_for_the_group_too(text: str) -> None:
    user = parse(f"user: {text}", Settings).user
    assert user is not None
    assert (user.uid, user.gid) == (65532, 65532)


def test_a_name_comes_with_its_first_group() -> None:
    user, known = parse("user: nobody", Settings).user, pwd.getpwnam("nobody")
    assert user is not None
    assert (user.uid, user.gid) == (known.pw_uid, known.pw_gid)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nobody-of-this-name", "no such user"),
        ("root", "unprivileged"),
        ("0", "from 1 to"),
        ("'0'", "from 1 to"),
        ("-1", "from 1 to"),
        ("4294967295", "from 1 to"),
        ("true", "expected str or int, got bool"),
        ("1.5", "expected str or int, got float"),
        ('"a\\0b"', "no such user"),
    ],
)
def test_any_other_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse(f"user: {text}", Settings, Path("/etc/x.yml"))
    assert found.value.field == "user"
    assert words in found.value.problem
    assert "\n" not in str(found.value)


def test_the_schema_takes_both() -> None:
    assert schema(Settings)["$defs"]["Settings"]["properties"]["user"]["anyOf"][0]["type"] == ["string", "integer"]
