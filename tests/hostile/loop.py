"""The real control loop in the real lab: what `site.yml` brings up, its event source, its operations, and all that it writes."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Final

from ansible_collections.closedloop.mobility.plugins.module_utils import namespaces
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.open import open_store

from tests.hostile.backend import Api
from tests.hostile.sender import Client

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
LAB: Final = "cl"
STATE: Final = Path("/run/closedloop") / LAB
ADDRESS: Final = ("2001:db8:be::2", 8443)
BACKEND: Final = ("2001:db8:be::1", 7311)
USER: Final = "ha-b"


class Loop:
    """Up when it is made; ends with the namespaces of its process."""

    def __init__(self, reports: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        argv = [str(BIN / "ansible-playbook"), "playbooks/site.yml"]
        with (reports / "site.log").open("wb") as log:
            status = subprocess.run(
                argv, cwd=ROOT, env=environment | {"ANSIBLE_NOCOLOR": "1"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            ).returncode
        if status:
            raise SystemExit(f"the lab does not come up, see {reports / 'site.log'}")
        self._password = (STATE / "control/senders" / USER).read_bytes().decode("latin-1").strip()
        self._tls = ssl.create_default_context(cafile=str(STATE / "control/tls/ca.pem"))
        self._tls.check_hostname = False

    @staticmethod
    def connect() -> socket.socket:
        return dial(ADDRESS)

    @staticmethod
    def backend() -> Api:
        """HA-B's, with its operator's token."""
        tls = ssl.create_default_context(cafile=str(STATE / "ha-b/tls/ca.pem"))
        tls.check_hostname = False
        return Api(lambda: dial(BACKEND), tls, (STATE / "ha-b/api.token").read_text().strip())

    def client(self) -> Client:
        return Client(self.connect, self._tls, USER, self._password)

    def metrics(self) -> str:
        """As Prometheus reads them."""
        connection = http.client.HTTPSConnection("source", timeout=60)
        connection.sock = self._tls.wrap_socket(self.connect())
        token = base64.b64encode(f"{USER}:{self._password}".encode()).decode()
        try:
            connection.request("GET", "/metrics", headers={"Authorization": f"Basic {token}"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def figure(self, name: str) -> float:
        found = re.search(rf"^closedloop_ves_{name} (\S+)$", self.metrics(), re.M)
        assert found is not None, name
        return float(found[1])

    def command(self, *arguments: str) -> str:
        """What `closedloop operations` prints."""
        argv = [str(BIN / "closedloop"), "operations", "--journal", str(journal()), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def operations(self) -> list[Operation]:
        """The latest first."""
        store = open_store(str(journal()))
        try:
            return Journal(store).recent(100_000)
        finally:
            store.close()

    @staticmethod
    def serving() -> str:
        """Name of the VF module that is in place."""
        placed = [json.loads(path.read_text()) for path in sorted((STATE / "placement").glob("*.json"))]
        return next(str(entry["name"]) for entry in placed if entry["state"] == "present")

    @staticmethod
    def logs() -> list[Path]:
        """Of every process, and what the playbooks have printed."""
        return [*sorted(STATE.rglob("*.log")), *sorted((STATE / "control/work").rglob("stdout"))]


def dial(address: tuple[str, int]) -> socket.socket:
    """From the host of the loop."""
    with namespaces.entered(f"{LAB}-control"):
        return socket.create_connection(address, 60)


def journal() -> Path:
    """File of the operations journal."""
    return next(STATE.rglob("operations.db"))
