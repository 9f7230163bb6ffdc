"""Whatever is logged, a record is one line of printable ASCII that parses as JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.runtime.logging import JsonFormatter, setup
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@given(st.text(), st.text())
def test_no_text_breaks_the_line(message: str, extra: str) -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s", (message,), None)
    record.peer = extra
    line = JsonFormatter("ha-b").format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == message
    assert json.loads(line)["peer"] == extra


@pytest.mark.usefixtures("quiet_root")
def test_levels_extras_addresses_and_traces() -> None:
    out = io.StringIO()
    log = setup("ha-b", "info", out)
    log.debug("not seen")
    log.info("seen", extra={"home_address": from_text("2001:db8::5"), "names": {"b", "a"}, "odd": object})
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["home_address"] == "2001:db8::5"
    assert first["names"] == ["a", "b"]
    assert first["function"] == "ha-b"
    assert first["level"] == "info"
    assert "a\nb" in second["exception"]
