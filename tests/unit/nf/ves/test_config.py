"""The part `ves:` of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from closedloop_nf.runtime.config import ConfigError, parse
from closedloop_nf.ves.client import verdict
from closedloop_nf.ves.config import VesConfig, authorization, check
from closedloop_nf.ves.delivery import Verdict

GOOD = "{url: 'https://[::1]:8443', tls: {ca: ca.pem}, username: u, password_file: password, queue: queue.sqlite}"


def test_a_good_part(tmp_path: Path) -> None:
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("secret\n")
    config = parse(GOOD, VesConfig, tmp_path / "ha-b.yml")
    assert (config.measurement_ms, config.heartbeat_s, config.max_events) == (1000, 10, 10_000)
    assert authorization(config) == "Basic dTpzZWNyZXQ="


@pytest.mark.parametrize(
    ("change", "field", "remedy"),
    [
        (("https://[::1]:8443", "http://[::1]:8443"), "url", "url is not one of HTTPS"),
        (("https://[::1]:8443", "https://"), "url", "url is not one of HTTPS"),
        (("https://[::1]:8443", "https://h:99999"), "url", "url is not one of HTTPS"),
        (("https://[::1]:8443", "https://u:p@h"), "url", "give the user by username and password_file"),
        (("https://[::1]:8443", "https://h/?a=b"), "url", "more than host, port and path"),
        ((", password_file: password", ""), "username, password_file", "give both or neither"),
        (
            (", username: u, password_file: password", ""),
            "username, password_file, tls.certificate",
            "set username and password_file, or certificate in tls",
        ),
        (("username: u", "username: 'a:b'"), "username", "correct the value"),
        (("queue:", "max_events: 3, queue:"), "max_events", "got int"),
    ],
)
def test_an_error_names_the_field_and_the_remedy(change: tuple[str, str], field: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as found:
        parse(GOOD.replace(*change), VesConfig)
    assert found.value.field == field


def test_files_that_are_missing_are_found_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ves\.password_file"):
        check(parse(GOOD, VesConfig, tmp_path / "ha-b.yml"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (202, Verdict.ACCEPTED),
        (200, Verdict.ACCEPTED),
        (400, Verdict.REFUSED),
        (413, Verdict.REFUSED),
        *((status, Verdict.UNAVAILABLE) for status in (301, 401, 403, 404, 405, 429, 500, 503)),
    ],
)
def test_what_an_answer_means(status: int, said: Verdict) -> None:
    assert verdict(status, "").verdict is said


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("-1", 0.0), ("9" * 99, 0.0)]
)
def test_retry_after_counts_only_as_a_number(header: str, seconds: float) -> None:
    assert verdict(503, header).retry_after_s == seconds
