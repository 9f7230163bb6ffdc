"""The client library's settings, its errors in words, and what must be true of the topic."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # exported, but not in so many words
    AdminClient,
    ConfigResource,
    ResourceType,
)

from closedloop_loop.files import FileError
from closedloop_loop.kafka.messages import MAX_MESSAGE
from closedloop_loop.kafka.settings import Kafka, check, read_password

log: Final = logging.getLogger("closedloop_loop.kafka")

START_S: Final = 15.0
"""How long a start waits for a broker to answer."""
LOOK_S: Final = 0.5


class Problems:
    """The latest thing that the library said is wrong. Each is logged once until all is well again."""

    def __init__(self) -> None:
        self.latest = ""
        self._lock = threading.Lock()

    def __call__(self, error: KafkaError) -> None:
        with self._lock:
            if error.code() == KafkaError._ALL_BROKERS_DOWN and self.latest:
                return  # the reason has been told before
            text = printable(error.str())
            if text != self.latest:
                log.warning("the broker cannot be used", extra={"problem": text})
            self.latest = text

    def over(self) -> None:
        if self.latest:
            log.info("the broker can be used again")
            self.latest = ""


def client_settings(settings: Kafka, problems: Problems) -> dict[str, Any]:
    """For every client. Raises FileError."""
    check(settings)
    return {
        "bootstrap.servers": ",".join(settings.servers),
        "client.id": "closedloop",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": settings.ca,
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": settings.username,
        "sasl.password": read_password(settings),
        "socket.keepalive.enable": True,
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        "error_cb": problems,
        "log_level": 2,  # it tells of each try; error_cb is told as well, and tells once
    }


def partitions(settings: Kafka) -> int:
    """How many the topic has. Raises FileError where there is no such topic, no way to it, or its time is not the broker's."""
    problems = Problems()
    admin = AdminClient(client_settings(settings, problems))
    give_up = time.monotonic() + START_S
    while True:
        try:
            found = admin.list_topics(settings.topic, timeout=LOOK_S * 4).topics[settings.topic]
            break
        except KafkaException as error:
            admin.poll(0)
            refused = "uthentication" in problems.latest or "certificate" in problems.latest
            if refused or time.monotonic() > give_up:
                raise _unreachable(settings, problems.latest or printable(error.args[0].str())) from None
    if found.error is not None:
        raise FileError(_where(settings), "kafka.topic", f"{printable(found.error.str())}; create it, or let {settings.username} use it")
    _check_topic(settings, admin)
    return len(found.partitions)


def _check_topic(settings: Kafka, admin: AdminClient) -> None:
    """The clock of analytics is the log's: with the clocks of several intakes in it, time would jump to and fro. And whatever a listener
    accepts must fit into it."""
    resource = ConfigResource(ResourceType.TOPIC, settings.topic)
    try:
        [future] = admin.describe_configs([resource], request_timeout=START_S).values()
        found = {name: str(entry.value) for name, entry in future.result().items()}
    except KafkaException as error:
        problem = f"its settings cannot be read ({printable(error.args[0].str())}); permit {settings.username} DescribeConfigs on it"
        raise FileError(_where(settings), "kafka.topic", problem) from None
    for name, wanted, good in (
        ("message.timestamp.type", "LogAppendTime", found["message.timestamp.type"] == "LogAppendTime"),
        ("max.message.bytes", f"at least {MAX_MESSAGE}", int(found["max.message.bytes"]) >= MAX_MESSAGE),
    ):
        if not good:
            raise FileError(_where(settings), "kafka.topic", f"{settings.topic} has {name}={printable(found[name])}; set it to {wanted}")


def _unreachable(settings: Kafka, problem: str) -> FileError:
    if "uthentication" in problem:
        return FileError(_where(settings), "kafka.username", f"is refused ({problem}); give name and password of a client of the cluster")
    if "certificate" in problem:
        return FileError(settings.ca, "kafka.ca", f"does not verify the broker ({problem}); give the authority of its certificate")
    return FileError(_where(settings), "kafka.servers", f"none can be used ({problem}); give brokers that run, and their TLS port")


def _where(settings: Kafka) -> str:
    return ",".join(settings.servers)


def printable(text: str) -> str:
    """One bounded line of what a library says."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300])
