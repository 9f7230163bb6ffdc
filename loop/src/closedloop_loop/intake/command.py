"""`closedloop ves`: the listener on its own, for recording, measuring, and standing in for the event source."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import getpass
import json
import logging
import signal
import sys
from typing import Final

import uvloop

from closedloop_loop.errors import CommandError
from closedloop_loop.intake import config, credentials, pipeline
from closedloop_loop.intake.collector import Collector, check, open_journal
from closedloop_loop.intake.config import CommandConfig
from closedloop_loop.kafka import settings as kafka_settings
from closedloop_loop.kafka.settings import Kafka

log: Final = logging.getLogger("closedloop_loop.ves")

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


def run(options: argparse.Namespace) -> int:
    """Exit status. Raises CommandError (FileError is one) when the configuration is refused or the recording cannot be written."""
    try:
        if options.schema:
            print(json.dumps(config.schema(CommandConfig), indent=2))
        elif options.credential is not None:
            print(credentials.line(options.credential, _password()))
        elif options.config is None:
            raise CommandError("--config is missing; name a YAML file")
        else:
            settings = config.load(options.config)
            check(settings)
            if settings.kafka is not None:
                kafka_settings.check(settings.kafka)
            if not options.check:
                _log_to_stderr(settings.log_level)
                uvloop.run(serve(settings))
    except ValueError as error:
        raise CommandError(f"--credential: {error}") from None
    except OSError as error:
        raise CommandError(f"{error.strerror or error}; events that were acknowledged are in the journal") from None
    return 0


async def serve(settings: CommandConfig) -> None:
    """Until SIGTERM or SIGINT. Raises FileError before the port is open, OSError when the recording cannot be written."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.kafka is not None:
        await _into_topic(settings, settings.kafka, stop)
    else:
        await _into_journal(settings, stop)
    log.info("stopped")


async def _into_topic(settings: CommandConfig, kafka: Kafka, stop: asyncio.Event) -> None:
    try:
        from closedloop_loop.kafka.producer import open_outbox  # its library only where it is wanted
    except ImportError:
        raise CommandError("kafka: support for it is not installed; install closedloop-loop[kafka]") from None
    async with await Collector.open(settings, lambda metrics: open_outbox(settings, kafka, metrics)) as collector:
        log.info("listening", extra={"port": collector.port, "tls": settings.tls is not None, "topic": kafka.topic})
        await stop.wait()


async def _into_journal(settings: CommandConfig, stop: asyncio.Event) -> None:
    recorder = pipeline.Recorder(settings.record) if settings.record is not None else None
    place = settings.journal
    assert place is not None, "the configuration has a topic or a journal"
    async with await Collector.open(settings, lambda metrics: open_journal(settings, place, metrics)) as collector:
        log.info("listening", extra={"port": collector.port, "tls": settings.tls is not None, "backlog": collector.journal.core.backlog})
        consumer = asyncio.create_task(pipeline.discard(collector, recorder))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((consumer, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in (consumer, stopped):
            task.cancel()
        await asyncio.gather(consumer, stopped, return_exceptions=True)
        if not consumer.cancelled() and (error := consumer.exception()) is not None:
            raise error
    if recorder is not None:
        recorder.close()


def _password() -> bytes:
    typed = sys.stdin.isatty()
    password = getpass.getpass("Password: ").encode() if typed else sys.stdin.buffer.readline(4096).rstrip(b"\r\n")
    if not password:
        raise ValueError("the password is empty; type one, or write it to standard input")
    return password


class _JsonLines(logging.Formatter):
    """One JSON object per line, everything outside printable ASCII escaped, so that no text can forge a line or reach a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD and key not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=repr, ensure_ascii=True, separators=(",", ":"))


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
