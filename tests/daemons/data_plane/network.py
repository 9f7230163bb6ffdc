"""The namespaces of the kernel tests with the three real daemons in them: `mobile-node` in mn, `ha-pp` in ha, `ha-b` in r, radvd in r.

The classes that start the daemons are those of their own tests; this is what they ask of a network.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import Daemon as Backend
from tests.daemons.ha_pp.lab import Daemon as PacketProcessor
from tests.daemons.mobile_node.lab import KEY, RADVD, SPI, MobileNode
from tests.daemons.unprivileged import folder_of_user, late_imports
from tests.kernel.bed import HOME_ADDRESS, HOME_AGENT, HOME_LINK, Bed, eventually, run
from tests.kernel.planes import data_planes

T = TypeVar("T")

BACKEND = "2001:db8:a0::ff"
HEALTH_PORT = 9000


class Network:
    """`close` ends the daemons and removes the namespaces."""

    def __init__(self, folder: Path, authority: Authority, data_plane: str) -> None:
        self.folder, self.authority, self.data_plane = folder, authority, data_plane
        self.bed = Bed()
        self.state = folder_of_user()
        self._processes: list[subprocess.Popen[Any]] = []
        self._backend: Backend | None = None
        self.packet_processor: PacketProcessor
        self.mobile_node: MobileNode

    # --- what the daemons' classes ask for -------------------------------------------------------------------------------------------

    def start(self, host: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(["ip", "netns", "exec", self.bed.name(host), *command], **options)
        self._processes.append(process)
        return process

    def inside(self, host: str, command: str, *, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.bed.name(host), *command.split(), check=check)

    def open_socket(self, host: str, make: Callable[[], T]) -> T:
        with self.bed.inside(host):
            return make()

    # --- daemons ---------------------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        self.advertise()
        self.serve_home_agent()
        self.start_mobile_node()
        self.registered()

    def serve_home_agent(self) -> None:
        """HA-B and HA-PP, which may serve."""
        port = self._serve_bindings()
        self.packet_processor = PacketProcessor(
            self,  # type: ignore[arg-type] # it asks for no more than is above
            name="ha-pp-a",
            address=HOME_AGENT,
            uplink_interface="region",
            home_link={"interface": "home", "address": HOME_LINK, "dad_transmits": 0, "retrans_timer_ms": 100},
            backend={
                "host": BACKEND,
                "port": port,
                "token_file": str(self.folder / "link-token"),
                "tls": {"ca": str(self.authority.ca), "server_name": "ha-b"},
            },
            health={"address": HOME_AGENT, "port": HEALTH_PORT},
            data_plane=self._configured(),
        )
        self.start_packet_processor()

    def start_mobile_node(self) -> None:
        self.mobile_node = MobileNode(
            self,  # type: ignore[arg-type] # likewise
            home_address=HOME_ADDRESS,
            home_prefix="2001:db8:a::/64",
            home_agents=[HOME_AGENT],
            interfaces=["visited"],
            data_plane=self._configured(),
        )

    def _configured(self) -> str:
        """What the kernel's best is called in a configuration that leaves the choice to the daemon."""
        return "auto" if self.data_plane == data_planes()[0] else self.data_plane

    def start_packet_processor(self) -> None:
        """Start it, anew after `kill`, and wait until it may serve."""
        self.packet_processor.log.unlink(missing_ok=True)
        self.packet_processor.start()

        def ready() -> bool:
            self.packet_processor.alive()
            return bool(self.packet_processor.logged("lease_held"))

        eventually("ha-pp may serve", ready)

    def restart_mobile_node(self) -> None:
        """Start it anew after `kill`, and wait until it is registered again."""
        before = self.mobile_node.events("bound")[-1]["mono_ns"]
        self.mobile_node.restart()
        self.registered(before)

    def registered(self, after: int = 0) -> None:
        """Wait until the mobile node is bound, later than `after` (monotonic nanoseconds)."""

        def bound() -> bool:
            return any(event["mono_ns"] > after for event in self.mobile_node.events("bound"))

        eventually("the mobile node is registered", bound)

    def advertise(self) -> None:
        """The visited link has a router; the mobile node's address there is its own."""
        self.bed.ip("mn", "address flush dev visited scope global")
        config = self.folder / "radvd.conf"
        config.write_text(RADVD.format(name="visited", prefix="2001:db8:c::", lifetimes=""))
        config.chmod(0o644)
        log = ("-m", "logfile", "-l", str(self.folder / "radvd.log"))
        self.start("r", "radvd", "-n", "-C", str(config), "-p", str(self.folder / "radvd.pid"), *log)

    def _serve_bindings(self) -> int:
        """HA-B with the mobile node's key; its port for links."""
        server = self.authority.server("ha-b")
        tls = {"certificate": str(server.certificate), "key": str(server.key)}
        link = {"address": BACKEND, "port": 0, "tls": tls, "token_file": str(self.folder / "link-token")}
        self._backend = Backend(self.folder, self.authority, link=link, home_prefixes=["2001:db8:a::/64"])
        with self.bed.inside("r"):
            self._backend.start()
            path = f"/v1/mobile-nodes/{HOME_ADDRESS}"
            answer = self._backend.ask("PUT", path, {"security_associations": [{"spi": SPI, "key": KEY}]})
        assert answer.status == 201, answer
        return self._backend.link_port

    # --- questions -------------------------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """What /healthz of HA-PP says."""
        return dict(json.loads(self.inside("r", f"curl -s -m 5 http://[{HOME_AGENT}]:{HEALTH_PORT}/healthz")))

    def counter(self, event: str) -> float:
        """A kernel counter of HA-PP's /metrics."""
        text = self.inside("r", f"curl -s -m 5 http://[{HOME_AGENT}]:{HEALTH_PORT}/metrics")
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f'ha_pp_kernel_total{{event="{event}"}}'))

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._backend is not None:
            self._backend.end()
        self.bed.close()
        late = late_imports(self.state)
        shutil.rmtree(self.state)
        assert late == [], "an unprivileged function cannot import what only root can read"
