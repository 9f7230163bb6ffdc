"""The outbox at work: its core in the event loop, the library's callbacks in a thread. An event is durable when the broker has
acknowledged it for all in-sync replicas."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import deque
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from closedloop_loop.intake.config import VesConfig
from closedloop_loop.intake.metrics import Metrics
from closedloop_loop.journal.messages import Answer, Entry, Submit
from closedloop_loop.kafka import connection
from closedloop_loop.kafka.connection import Problems
from closedloop_loop.kafka.messages import MARK_S, MAX_MESSAGE
from closedloop_loop.kafka.outbox import Action, OutboxCore
from closedloop_loop.kafka.settings import Kafka

log: Final = logging.getLogger("closedloop_loop.kafka")

DELIVERY_S: Final = 5.0
"""A broker that has not acknowledged an event by then has failed; the sender is told to come again."""
POLL_S: Final = 0.1
MAX_KEY: Final = 256
"""Octets of a source's name that choose its partition."""


class Outbox:
    """Where a listener makes its events durable: a topic. Made and used in the event loop's thread."""

    def __init__(self, settings: Kafka, *, pending_octets: int, remember_events: int) -> None:
        """Raises FileError."""
        self._topic, self._partitions = settings.topic, connection.partitions(settings)
        self._problems = Problems()
        self._settings = {
            **connection.client_settings(settings, self._problems),
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": round(DELIVERY_S * 1000),
            "linger.ms": 2,
            "compression.type": "lz4",
            "message.max.bytes": MAX_MESSAGE,
            "partitioner": "murmur2_random",
            # The core counts what waits; this is room for it, and for the marks.
            "queue.buffering.max.kbytes": (pending_octets >> 10) + (4 << 10),
            "queue.buffering.max.messages": 2_000_000,
        }
        self.core = OutboxCore(pending_octets, remember_events)
        self.delivered = self.failures = 0
        self.broken = False
        """Whether what was given to the broker last was not acknowledged."""
        self._loop = asyncio.get_running_loop()
        self._requests: dict[int, asyncio.Future[Answer]] = {}
        self._request = 0
        self._told: deque[tuple[bytes | None, KafkaError | None]] = deque()
        """What the thread has heard; None: a mark."""
        self._waking = False
        self._closing = threading.Event()
        self._idle = asyncio.Event()
        self._producer = Producer(self._settings)
        self._thread = threading.Thread(target=self._poll, name="kafka", daemon=True)
        self._thread.start()
        self._marking = asyncio.create_task(self._mark())

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.core.full

    async def submit(self, entries: list[Entry]) -> Answer:
        """Returns when the events are durable, or were refused."""
        self._request += 1
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._requests[self._request] = future
        self._apply(self.core.submit(Submit(self._request, entries)))
        return await future

    async def close(self) -> None:
        """What waits is given its time to be acknowledged."""
        self._marking.cancel()
        while self.core.waiting:
            self._idle.clear()
            await self._idle.wait()
        self._closing.set()
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._producer.flush, 1.0)

    def _apply(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Answer):
                future = self._requests.pop(action.request)
                if not future.done():  # the sender may have gone
                    future.set_result(action)
                continue
            entry = action.entry
            try:
                self._producer.produce(
                    self._topic, entry.body, entry.source.encode()[:MAX_KEY], on_delivery=functools.partial(self._heard, entry.key)
                )
            except (BufferError, KafkaException) as error:
                log.error("an event is not taken", extra={"problem": connection.printable(str(error))})
                self._loop.call_soon(self._settle, entry.key, False)

    def _settle(self, key: bytes, durable: bool) -> None:
        self._apply(self.core.delivered(key, durable))
        if not self.core.waiting:
            self._idle.set()

    async def _mark(self) -> None:
        """While events are accepted, each partition is told so; where they are not, nobody may conclude anything from a silence."""
        while True:
            if not self.core.full:
                for partition in range(self._partitions):
                    try:
                        self._producer.produce(self._topic, None, partition=partition, on_delivery=functools.partial(self._heard, None))
                    except (BufferError, KafkaException):
                        self.broken = True
            await asyncio.sleep(MARK_S)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)

    def _heard(self, key: bytes | None, error: KafkaError | None, _message: Any) -> None:
        self._told.append((key, error))
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                self._closing.set()  # the loop has ended: nobody is left to be told

    # --- the event loop ----------------------------------------------------------------------------------------------

    def _take(self) -> None:
        self._waking = fatal = False
        while self._told:
            key, error = self._told.popleft()
            self.delivered += error is None and key is not None
            self.failures += error is not None
            self.broken = error is not None
            fatal |= error is not None and error.fatal()
            if error is None:
                self._problems.over()
            else:
                self._problems(error)
            if key is not None:
                self._settle(key, error is None)
        if fatal:
            # Its order cannot be kept up any more, as when the broker has forgotten this producer. A new one begins a new order.
            old, self._producer = self._producer, Producer(self._settings)
            old.purge()
            self._loop.run_in_executor(None, old.flush, DELIVERY_S)


def open_outbox(config: VesConfig, settings: Kafka, metrics: Metrics) -> Outbox:
    """Raises FileError."""
    outbox = Outbox(settings, pending_octets=config.pending_mib << 20, remember_events=config.remember_events)
    metrics.gauges["pending_octets"] = ("Octets of events that are not durable yet", lambda: outbox.core.pending_octets)
    metrics.counters["kafka_acknowledged"] = ("Events that the broker has acknowledged", lambda: outbox.delivered)
    metrics.counters["kafka_failures"] = ("Events and marks that the broker has not acknowledged", lambda: outbox.failures)
    return outbox
