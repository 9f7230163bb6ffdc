"""A member of the consumer group: what it has been given, and the messages of that. Its methods block; one thread calls them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as ClientMessage

from closedloop_loop.files import FileError
from closedloop_loop.kafka import connection
from closedloop_loop.kafka.connection import Problems
from closedloop_loop.kafka.messages import Message
from closedloop_loop.kafka.settings import Kafka

log: Final = logging.getLogger("closedloop_loop.kafka")

SESSION_S: Final = 6.0
"""A worker that is not heard of for so long has lost its partitions: the least that brokers allow by default."""
BUSY_S: Final = 60.0
"""So has one that asks for no messages for so long, as when it waits for the database."""
BATCH: Final = 512
PREFETCH_KIB: Final = 16 << 10

Given = Callable[[list[int]], dict[int, int]]
"""These partitions are ours: where to go on with each; -1: with the first message that there is."""
Taken = Callable[[list[int]], None]
"""They are not ours any more."""


class Reader:
    def __init__(self, settings: Kafka, group: str, given: Given, taken: Taken) -> None:
        """given, taken: called within `fetch` and `close`. Raises FileError."""
        self._topic, self._given, self._taken = settings.topic, given, taken
        self._problems = Problems()
        self._expected: dict[int, int] = {}
        self._consumer = Consumer(
            {
                **connection.client_settings(settings, self._problems),
                "group.id": group,
                "enable.auto.commit": False,
                # Where what we were to read next is gone, the rest of it; where the topic was made anew, all of it.
                "auto.offset.reset": "earliest",
                "session.timeout.ms": round(SESSION_S * 1000),
                "heartbeat.interval.ms": round(SESSION_S * 1000 / 3),
                "max.poll.interval.ms": round(BUSY_S * 1000),
                "fetch.error.backoff.ms": 100,
                "queued.max.messages.kbytes": PREFETCH_KIB,
            }
        )
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def fetch(self, wait_s: float) -> list[Message]:
        """What has come, at most BATCH messages; waits for the first."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        return [message for each in (first, *self._consumer.consume(BATCH - 1, 0)) if (message := self._message(each)) is not None]

    def commit(self, offsets: dict[int, int]) -> None:
        """For those who watch the group; a worker goes on where the database says."""
        try:
            self._consumer.commit(offsets=[TopicPartition(self._topic, *each) for each in offsets.items()], asynchronous=True)
        except KafkaException as error:
            log.debug("offsets are not committed", extra={"problem": connection.printable(str(error))})

    def close(self) -> None:
        """Others get the partitions at once."""
        self._consumer.close()

    def _message(self, found: ClientMessage) -> Message | None:
        error = found.error()
        if error is not None:
            self._problems(error)
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise FileError(self._topic, "kafka.username", f"may not read ({connection.printable(error.str())}); permit it")
            return None
        self._problems.over()
        partition, offset = found.partition(), found.offset()
        assert partition is not None, "a message without an error has a place"
        assert offset is not None, "and an offset in it"
        expected = self._expected.get(partition)
        if expected is None:
            return None  # of a partition that was taken away meanwhile
        if offset > expected >= 0:
            log.error("messages are gone that nobody has read", extra={"partition": partition, "first": expected, "last": offset - 1})
        elif offset < expected:
            log.error("the topic has been made anew, or cut off", extra={"partition": partition, "expected": expected, "found": offset})
        self._expected[partition] = offset + 1
        value = found.value()
        return Message(partition, offset, found.timestamp()[1], b"" if value is None else bytes(value))

    def _assigned(self, consumer: Any, partitions: Iterable[TopicPartition]) -> None:
        places = self._given([each.partition for each in partitions])
        self._expected = dict(places)
        consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING if at < 0 else at) for number, at in sorted(places.items())])

    def _revoked(self, consumer: Any, partitions: Iterable[TopicPartition]) -> None:
        self._taken([each.partition for each in partitions])
        self._expected = {}
        consumer.unassign()


class Stop(Exception):
    """It is to end while it waits for something."""


def patiently(stop: threading.Event, pause_s: float) -> None:
    """Wait before another try. Raises Stop."""
    if stop.wait(pause_s):
        raise Stop
