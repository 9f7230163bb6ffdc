"""The role control_loop writes the credentials file; the source reads it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.closedloop.mobility.plugins.filter.ves_credential import ves_credential
from closedloop_loop.intake import credentials


def test_the_source_takes_what_the_role_writes(tmp_path: Path) -> None:
    file = tmp_path / "ves.credentials"
    file.write_text("\n".join(ves_credential(f"of {name}", name, "") for name in ("ha-b", "ha-pp")) + "\n")
    file.chmod(0o600)
    known = credentials.load(file)
    assert set(known) == {"ha-b", "ha-pp"}
    assert known["ha-b"].matches(b"of ha-b")
    assert not known["ha-pp"].matches(b"of ha-b")


def test_a_line_stays_as_long_as_the_password_does() -> None:
    lines = "\n".join(credentials.line(name, b"first") for name in ("ha-b", "ha-pp"))
    assert ves_credential("first", "ha-pp", lines) == lines.splitlines()[1]
    assert ves_credential("second", "ha-pp", lines) not in lines
    assert ves_credential("first", "cn", lines) not in lines
