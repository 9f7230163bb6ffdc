"""The VES interface as a sender meets it: over TLS, at the real process."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from closedloop_tools.ves_source.listener import Answer, Authority, Listener
from closedloop_tools.ves_source.load import measurement

Make = Callable[..., Listener]
SINGLE, BATCH = "/eventListener/v7", "/eventListener/v7/eventBatch"
EVENT = json.dumps(measurement("m-1"))


@pytest.fixture
def listener(make: Make) -> Listener:
    return make()


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.message_id


def test_events_are_accepted_one_by_one_in_batches_and_compressed(listener: Listener) -> None:
    assert listener.ask("GET", "/healthcheck", user=None).status == 200
    answer = listener.send(measurement("m-1"))
    assert (answer.status, answer.body) == (202, b"")
    assert [answer.headers[name] for name in ("X-LatestVersion", "X-MinorVersion", "X-PatchVersion")] == ["7.2.1", "2", "1"]
    assert listener.send({"eventList": [measurement(f"m-{number}")["event"] for number in range(1, 4)]}).status == 202
    packed = gzip.compress(json.dumps(measurement("m-9")).encode())
    assert listener.ask("POST", SINGLE, packed, {"Content-Encoding": "gzip", "X-MinorVersion": "1"}).status == 202
    assert (listener.metric("events_total"), listener.metric("duplicates_total")) == (4, 1)
    assert listener.metric("passwords_verified_total") == 1
    assert listener.stop() == 0


def test_what_is_not_acceptable_is_refused_as_the_specification_says(listener: Listener) -> None:
    def post(body: bytes | str, path: str = SINGLE, **headers: str) -> tuple[int, str]:
        return told(listener.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    assert post("{}") == (400, "SVC0002")
    assert post(EVENT, BATCH) == (400, "SVC0002")
    assert post('{"eventList": []}', BATCH) == (400, "SVC0001")
    assert post("") == (400, "SVC0002")
    assert post(EVENT + "x") == (400, "SVC0002")
    assert post("[" * 1_000_000) == (400, "SVC0002")
    assert post(EVENT.replace('"m-1"', '"m-1", "eventId": "m-2"')) == (400, "SVC0002")
    assert post(EVENT, Content_Encoding="gzip") == (400, "SVC0002")
    assert post(EVENT, Content_Encoding="br") == (415, "SVC0002")
    assert post(EVENT, X_MinorVersion="3") == (400, "SVC0002")
    assert post(EVENT, "/eventListener/v8") == (400, "SVC0002")
    assert post(EVENT, "/eventListener/v7/other") == (404, "SVC0001")
    assert post("x" * (2 << 20) + "x") == (413, "POL9003")
    assert post(gzip.compress(b" " * (64 << 20)), Content_Encoding="gzip") == (413, "POL9003")
    assert told(listener.ask("POST", SINGLE, iter([b"x" * 65536] * 33))) == (413, "POL9003")
    answer = listener.ask("GET", SINGLE)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert listener.ask("POST", "/healthcheck", "").status == 405
    assert listener.metric("events_total") == 0


def test_only_who_has_the_password_may_send_or_read_metrics(listener: Listener) -> None:
    answer = listener.send(measurement("m-1"), user=None)
    assert told(answer) == (401, "POL2000")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for user, password in (("ha-b", "wrong"), ("nobody", "correct horse"), ("ha-b", "")):
        assert told(listener.send(measurement("m-1"), user=user, password=password)) == (401, "POL2000")
    assert listener.ask("GET", "/metrics", user=None).status == 401
    assert listener.metric("events_total") == 0


def test_a_certificate_stands_for_a_password(make: Make, authority: Authority, tmp_path: Path) -> None:
    senders = Authority(tmp_path, "senders")
    listener = make(senders=senders.file)
    known = ssl.create_default_context(cafile=str(authority.file))
    known.load_cert_chain(*senders.issue("ha-b"))
    assert listener.send(measurement("m-1"), user=None, tls=known).status == 202
    assert listener.send(measurement("m-2")).status == 202
    assert listener.send(measurement("m-3"), user=None).status == 401
    stranger = ssl.create_default_context(cafile=str(authority.file))
    stranger.load_cert_chain(*authority.issue("stranger"))
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        listener.send(measurement("m-4"), user=None, tls=stranger)


def test_with_certificates_only_nobody_gets_past_tls_without_one(make: Make, tmp_path: Path) -> None:
    listener = make(password=False, senders=Authority(tmp_path, "senders").file)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        listener.send(measurement("m-1"))


def test_what_is_no_http_or_ends_early_harms_nobody(listener: Listener) -> None:
    for junk in (b"\0" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"A" * 100_000, b""):
        with (
            socket.create_connection(("::1", listener.port), 10) as plain,
            listener.tls.wrap_socket(plain, server_hostname="localhost") as tls,
            contextlib.suppress(OSError),
        ):
            tls.sendall(junk)
            tls.unwrap()
    with socket.create_connection(("::1", listener.port), 10) as plain:
        plain.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
    assert listener.send(measurement("m-1")).status == 202


def test_text_of_an_event_reaches_the_log_only_escaped(make: Make) -> None:
    listener = make(log_level="debug")
    attack = "{{ lookup('pipe', 'id') }}\x1b[31m\nfake: line"
    document: Any = measurement(attack, source=attack)
    assert listener.send(document).status == 202
    assert listener.ask("POST", b"/\x1b[31m".decode("latin-1").replace("\x1b", "%1b"), "x").status == 404
    assert listener.stop() == 0
    assert all(line.isascii() and json.loads(line) for line in listener.log)


def test_what_is_no_http_is_not_quoted_in_the_log(make: Make) -> None:
    listener = make(log_level="debug")
    for line in (b"forged\x1b[31m\n", b"GET /forged\x01 HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nforged\x00: x\r\n"):
        with (
            socket.create_connection(("::1", listener.port), 10) as plain,
            listener.tls.wrap_socket(plain, server_hostname="localhost") as tls,
            contextlib.suppress(OSError),
        ):
            tls.sendall(line + b"\r\n")
            tls.recv(4096)
    assert listener.stop() == 0
    assert any("Error handling request" in line for line in listener.log)
    assert not any("forged" in line for line in listener.log)


def test_it_does_not_start_without_certificate_or_passwords(tmp_path: Path) -> None:
    file = tmp_path / "ves.yml"
    command = [sys.executable, "-m", "closedloop_loop.main", "ves", "--config", str(file)]
    for text, named in (
        ("journal: j.db\n", "insecure: true"),
        ("journal: j.db\ntls: {certificate: none.pem, key: none.key}\ncredentials: none\n", "none"),
        ("journal: j.db\ninsecure: true\ncredentials: none\n", "credentials"),
        ("journal: j.db\ninsecure: yes please\n", "insecure"),
    ):
        file.write_text(text)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 1
        assert named in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "j.db").exists()


def test_a_journal_has_one_owner(make: Make, listener: Listener) -> None:
    command = [sys.executable, "-m", "closedloop_loop.main", "ves", "--config", str(listener.file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "stop the other process" in ended.stderr


def test_a_check_opens_nothing(listener: Listener) -> None:
    command = [sys.executable, "-m", "closedloop_loop.main", "ves", "--check", "--config", str(listener.file)]
    assert subprocess.run(command, timeout=30).returncode == 0
