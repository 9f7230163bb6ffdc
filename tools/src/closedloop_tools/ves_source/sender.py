"""A sender that means it: events at a steady rate, one after the other, each until it is acknowledged, whatever becomes of the listener.

    python -m closedloop_tools.ves_source.sender --url https://[::1]:8443 --ca-file CA --user NAME --password-file FILE
        --prefix PREFIX --count 500 --per-s 100 --acknowledged FILE

The file gets the id of an event when it is acknowledged. An event's end is the moment at which it is first sent. With --faults they are
faults, each of a source that has the event's id for its name.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from closedloop_tools.ves_source.load import measurement

PATIENCE_S = 120.0


def fault(event_id: str) -> dict[str, Any]:
    """Its source, named as the event, is lost."""
    header = {
        "version": "4.1", "vesEventListenerVersion": "7.2.1", "domain": "fault", "eventId": event_id, "sequence": 0, "priority": "High",
        "eventName": "Fault_HAPP_homeAgentLost", "sourceName": event_id, "reportingEntityName": "ha-b",
        "startEpochMicrosec": time.time_ns() // 1000, "lastEpochMicrosec": 0,
    }  # fmt: skip
    fields = {
        "faultFieldsVersion": "4.0", "alarmCondition": "homeAgentLost", "eventSeverity": "CRITICAL", "eventSourceType": "other",
        "specificProblem": "no heartbeat", "vfStatus": "Active",
    }  # fmt: skip
    return {"event": {"commonEventHeader": header, "faultFields": fields}}


class Sender:
    """One connection at a time, opened anew when it breaks."""

    def __init__(self, url: str, tls: ssl.SSLContext, user: str, password: str) -> None:
        self._address = urlsplit(url)
        self._tls = tls
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
            "Content-Type": "application/json",
        }
        self._connection: http.client.HTTPSConnection | None = None
        self.repeated = 0

    def send(self, document: Any) -> None:
        """Returns when it is acknowledged. Raises RuntimeError when it is refused for good, or is not acknowledged in two minutes."""
        body = json.dumps(document)
        deadline = time.monotonic() + PATIENCE_S
        while (status := self._try(body)) != 202:
            if status not in (None, 503) or time.monotonic() > deadline:
                raise RuntimeError(f"not acknowledged, the last answer was {status}")
            self.repeated += 1
            time.sleep(0.05)

    def _try(self, body: str) -> int | None:
        """Status of the answer, None where there was none."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    str(self._address.hostname), self._address.port, timeout=5, context=self._tls
                )
            self._connection.request("POST", "/eventListener/v7", body, self._headers)
            response = self._connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.close()
            self._connection = None
            return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("url", "user", "prefix"):
        parser.add_argument(f"--{option}", required=True)
    for option in ("ca-file", "password-file", "acknowledged"):
        parser.add_argument(f"--{option}", required=True, type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--per-s", type=float, required=True)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--first", type=int, default=0, help="number of the first event")
    options = parser.parse_args()
    tls = ssl.create_default_context(cafile=str(options.ca_file))
    sender = Sender(options.url, tls, options.user, options.password_file.read_text().strip())
    due = time.monotonic()
    with options.acknowledged.open("a") as acknowledged:
        for number in range(options.first, options.first + options.count):
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + 1 / options.per_s, time.monotonic())
            event_id = f"{options.prefix}-{number:06d}"
            document: Any = fault(event_id) if options.faults else measurement(event_id)
            document["event"]["commonEventHeader"]["lastEpochMicrosec"] = time.time_ns() // 1000
            sender.send(document)
            acknowledged.write(f"{event_id}\n")
            acknowledged.flush()
    print(json.dumps({"acknowledged": options.count, "repeated": sender.repeated}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
