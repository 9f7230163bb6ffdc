"""Apache Kafka on one node (KRaft): TLS and SCRAM-SHA-512, and what is acknowledged is on the disk.

    python -m closedloop_tools.kafka.node prepare FOLDER --certificate PEM --key PEM --port PORT
    python -m closedloop_tools.kafka.node topic NAME --servers HOST:PORT --ca PEM --partitions N

The first formats the folder and writes the files `password` and `command.json`, which runs the broker. The Java archives are in the cache,
where `molecule/kafka/fetch.yml` has put them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTS: Final = Path(__file__).resolve().parent
USER, PASSWORD = "closedloop", "correct horse battery"
CLUSTER: Final = "Y2xvc2VkbG9vcC1rYWZrYQ"
JAVA: Final = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
TOPIC: Final = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(3 << 20), "flush.messages": "1"}
"""Of one broker only the disk is durable, so every append is flushed; a cluster with replicas need not."""


def artefacts() -> Path:
    """The folder of the Java archives. Raises RuntimeError where it is not there."""
    digest = hashlib.sha256((PARTS / "SHA256SUMS").read_bytes()).hexdigest()[:16]
    folder = Path(os.environ.get("CLOSEDLOOP_CACHE") or "/var/cache/closedloop") / f"kafka-{digest}"
    if not folder.is_dir():
        raise RuntimeError(f"{folder} is missing; fetch it: .venv/bin/ansible-playbook molecule/kafka/fetch.yml")
    return folder


def prepare(folder: Path, certificate: Path, key: Path, port: int) -> list[str]:
    """Format a folder; the command that runs the broker. The controller listens on the port after the broker's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys, password = folder / "keys.pem", folder / "password"
    for secret in (keys, password):
        secret.touch(mode=0o600)
    keys.write_bytes(key.read_bytes() + certificate.read_bytes())
    password.write_text(PASSWORD + "\n")
    properties = folder / "server.properties"
    properties.touch(mode=0o600)
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings(folder, port, keys).items()))
    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    format_ = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(properties), "--add-scram", scram, "--ignore-formatted"]
    done = subprocess.run([*java("-Xmx128m"), *format_], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return [*java("-Xms128m", "-Xmx256m"), "kafka.Kafka", str(properties)]


def java(*options: str) -> list[str]:
    return [*JAVA, *options, "-cp", f"{artefacts()}/*", f"-Dlog4j2.configurationFile={PARTS / 'log4j2.properties'}"]


def settings(folder: Path, port: int, keys: Path) -> dict[str, object]:
    """server.properties."""
    single = (
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
    )
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{port + 1}",
        "listeners": f"CLIENT://localhost:{port},CONTROLLER://127.0.0.1:{port + 1}",
        "advertised.listeners": f"CLIENT://localhost:{port}",
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": f'{scram} required username="{USER}" password="{PASSWORD}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keys,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": keys,
        "auto.create.topics.enable": "false",
        "log.dirs": folder / "data",
        "log.cleaner.dedupe.buffer.size": 8 << 20,  # the default alone is half of the heap
        "offsets.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        **dict.fromkeys(single, 1),
    }


def client(servers: str, ca: Path) -> dict[str, Any]:
    """Settings of the client library."""
    return {
        "bootstrap.servers": servers,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }


def make_topic(servers: str, ca: Path, name: str, partitions: int, more: Mapping[str, str] | None = None) -> None:
    """Nothing where there is one of that name."""
    admin = AdminClient(client(servers, ca))
    if name in admin.list_topics(timeout=60).topics:
        return
    [made] = admin.create_topics([NewTopic(name, partitions, 1, config={**TOPIC, **(more or {})})], request_timeout=60).values()
    made.result(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepared = verbs.add_parser("prepare")
    prepared.add_argument("folder", type=Path)
    prepared.add_argument("--certificate", type=Path, required=True)
    prepared.add_argument("--key", type=Path, required=True)
    prepared.add_argument("--port", type=int, required=True)
    topic = verbs.add_parser("topic")
    topic.add_argument("name")
    topic.add_argument("--servers", required=True)
    topic.add_argument("--ca", type=Path, required=True)
    topic.add_argument("--partitions", type=int, required=True)
    options = parser.parse_args()
    if options.verb == "prepare":
        command = prepare(options.folder, options.certificate, options.key, options.port)
        (options.folder / "command.json").write_text(json.dumps(command))
    else:
        make_topic(options.servers, options.ca, options.name, options.partitions)


if __name__ == "__main__":
    main()
