"""Apache Kafka as a process of its own: one node (KRaft), TLS and SCRAM-SHA-512, everything acknowledged is on the disk.

The artefacts are in the cache, where `molecule/kafka/fetch.yml` has put them.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient, NewTopic

from closedloop_tools.ves_source.listener import Authority

PARTS: Final = Path(__file__).resolve().parent
PATIENCE_S: Final = 120.0
USER, PASSWORD = "closedloop", "correct horse battery"
CLUSTER: Final = "Y2xvc2VkbG9vcC1rYWZrYQ"
JAVA: Final = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
TOPIC: Final = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(3 << 20), "flush.messages": "1"}
"""Of one broker only the disk is durable, so every append is flushed; a cluster with replicas need not."""


def artefacts() -> Path:
    """The folder of the Java archives. Raises RuntimeError where it is not there."""
    digest = hashlib.sha256((PARTS / "SHA256SUMS").read_bytes()).hexdigest()[:16]
    folder = Path(os.environ.get("CLOSEDLOOP_CACHE") or "/var/cache/closedloop") / f"kafka-{digest}"
    if not folder.is_dir():
        raise RuntimeError(f"{folder} is missing; fetch it: .venv/bin/ansible-playbook molecule/kafka/fetch.yml")
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Broker:
    """Started and killed as often as one likes."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.authority = folder, authority
        folder.mkdir(parents=True, exist_ok=True)
        self.port, controller = free_port(), free_port()
        self._classes = f"{artefacts()}/*"
        certificate, key = authority.issue("broker")
        keys = folder / "keys.pem"
        keys.touch(mode=0o600)
        keys.write_bytes(key.read_bytes() + certificate.read_bytes())
        self.password_file = folder / "password"
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(PASSWORD + "\n")
        self._settings = folder / "server.properties"
        self._settings.write_text(
            "\n".join(f"{name}={value}" for name, value in settings(folder, self.port, controller, keys).items()) + "\n"
        )
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        self._tool("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._settings), "--add-scram", scram)

    @property
    def servers(self) -> str:
        return f"localhost:{self.port}"

    def arguments(self, topic: str) -> dict[str, Any]:
        """`kafka` of an intake or a worker."""
        return {
            "servers": [self.servers],
            "topic": topic,
            "ca": str(self.authority.file),
            "username": USER,
            "password_file": str(self.password_file),
        }

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._java("-Xms128m", "-Xmx256m"), "kafka.Kafka", str(self._settings)], stdout=log, stderr=log, cwd=self.folder
            )

    def start(self) -> None:
        """Returns when it serves."""
        self.launch()
        deadline = time.monotonic() + PATIENCE_S
        context = ssl.create_default_context(cafile=str(self.authority.file))
        while True:
            try:
                with (
                    socket.create_connection(("localhost", self.port), timeout=5) as plain,
                    context.wrap_socket(plain, server_hostname="localhost"),
                ):
                    return
            except OSError:
                assert self.process is not None, "it was launched"
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self._log.read_text()[-3000:]) from None
                time.sleep(0.1)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    def client(self) -> dict[str, Any]:
        """Settings of the client library."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.file),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }

    def topic(self, name: str, partitions: int, more: Mapping[str, str] | None = None) -> None:
        admin = AdminClient(self.client())
        made = admin.create_topics([NewTopic(name, partitions, 1, config={**TOPIC, **(more or {})})], request_timeout=60)
        made[name].result(60)

    def _java(self, *options: str) -> list[str]:
        return [*JAVA, *options, "-cp", self._classes, f"-Dlog4j2.configurationFile={PARTS / 'log4j2.properties'}"]

    def _tool(self, *arguments: str) -> None:
        done = subprocess.run([*self._java("-Xmx128m"), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)


def settings(folder: Path, port: int, controller: int, keys: Path) -> dict[str, object]:
    """server.properties of a single node."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"CLIENT://localhost:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENT://localhost:{port}",
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": (
            f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{USER}" password="{PASSWORD}";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keys,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": keys,
        "auto.create.topics.enable": "false",
        "log.dirs": folder / "data",
        "log.cleaner.dedupe.buffer.size": 8 << 20,
        "offsets.topic.num.partitions": 1,
        **dict.fromkeys(
            (
                "offsets.topic.replication.factor",
                "transaction.state.log.replication.factor",
                "transaction.state.log.min.isr",
                "share.coordinator.state.topic.replication.factor",
                "share.coordinator.state.topic.min.isr",
            ),
            1,
        ),
        "group.initial.rebalance.delay.ms": 0,
    }
