"""Requests as the client writes and the server reads them, and the kinds of playbooks that one warm process serves."""

from __future__ import annotations

import importlib.resources
import os
import sys
from pathlib import Path

import pytest
import yaml
from closedloop_loop.runner import client
from closedloop_loop.runner.request import PER_RUN, Malformed, at_start, decode, fingerprint
from hypothesis import given
from hypothesis import strategies as st


def encoded(items: list[bytes]) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def test_what_the_client_says_is_what_the_server_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ansible-playbook", "-e", "a=b=c\n", "\udcff"])
    monkeypatch.setenv("ODD", "a=\udcfe\n")
    request = decode(encoded(list(client.items(True, [7, 9]))))
    assert request.argv == ["-e", "a=b=c\n", "\udcff"]
    assert request.env == dict(os.environ)
    assert (request.fds, request.terminal, request.identity) == ([7, 9], True, client.identity())


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_but_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode(octets)


def test_every_variable_that_sets_a_setting_of_ansible_counts() -> None:
    settings = yaml.safe_load((importlib.resources.files("ansible.config") / "base.yml").read_text())
    names = {entry["name"] for setting in settings.values() for entry in setting.get("env") or ()}
    assert set(at_start(dict.fromkeys(names, "x"))) == names - {PER_RUN}


def test_a_changed_configuration_file_is_another_kind(tmp_path: Path) -> None:
    bare = fingerprint({}, tmp_path)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    first = fingerprint({}, tmp_path)
    (tmp_path / "ansible.cfg").write_text("[defaults]\nforks = 9\n")
    assert len({bare, first, fingerprint({}, tmp_path)}) == 3
    assert fingerprint({"FOO": "1", PER_RUN: "/a"}, tmp_path) == fingerprint({"FOO": "2", PER_RUN: "/b"}, tmp_path)
