"""Running a function: command line, signals, exit status, and the loop that drives a core."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, Protocol, TypeVar

from closedloop_nf import __version__
from closedloop_nf.runtime import config
from closedloop_nf.runtime import logging as structured
from closedloop_nf.runtime.clock import Instant, now

log = logging.getLogger("closedloop_nf.serve")

C = TypeVar("C")
InputT_contra = TypeVar("InputT_contra", contravariant=True)
ActionT_co = TypeVar("ActionT_co", covariant=True)
I = TypeVar("I")  # noqa: E741 - the input type; its long names are taken by the protocol's variances
A = TypeVar("A")


class Core(Protocol[InputT_contra, ActionT_co]):
    """A state machine without I/O (docs/architecture.md)."""

    def handle(self, event: InputT_contra, now: Instant, /) -> Iterable[ActionT_co]: ...

    def tick(self, now: Instant, /) -> Iterable[ActionT_co]: ...

    def deadline(self) -> float | None: ...


class Driver(Generic[I, A]):
    """Feeds a core, applies its actions in order, and keeps one timer at its deadline.

    `apply` may feed again: the input waits until the actions before it are applied.
    """

    def __init__(self, core: Core[I, A], apply: Callable[[A], None], clock: Callable[[], Instant] = now) -> None:
        self.core = core
        self._apply = apply
        self._clock = clock
        self._queue: list[I] = []
        self._busy = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None

    def feed(self, event: I) -> None:
        """Hand one input to the core; ignored after `close`."""
        if self._closed:
            return
        self._queue.append(event)
        if not self._busy:
            self._run(tick=False)

    def close(self) -> None:
        """Disarm the timer; nothing more is fed."""
        self._closed = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, *, tick: bool) -> None:
        self._busy = True
        try:
            if tick:
                for action in self.core.tick(self._clock()):
                    self._apply(action)
            while self._queue:
                for action in self.core.handle(self._queue.pop(0), self._clock()):
                    self._apply(action)
        finally:
            self._busy = False
        self.rearm()

    def rearm(self) -> None:
        """Set the timer to the core's deadline."""
        due = self.core.deadline()
        if due == self._armed and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = due
        if due is not None:
            delay = max(0.0, due - self._clock().mono)
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        self._run(tick=True)


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Run `main(stop)`; SIGTERM and SIGINT set `stop`, a second one ends the process at once. Returns the exit status.

    A ConfigError raised inside is logged as one line (status 2); any other exception is logged with its trace (status 1).
    """

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _on_signal, number, stop)
        await main(stop)

    try:
        asyncio.run(supervised())
    except config.ConfigError as error:
        log.error("configuration refused", extra={"file": error.path, "field": error.field, "problem": error.problem})
        return 2
    except Exception:
        log.exception("stopped by an error")
        return 1
    return 0


def _on_signal(number: int, stop: asyncio.Event) -> None:
    if stop.is_set():
        sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    log.info("stopping", extra={"signal": signal.Signals(number).name})
    stop.set()


def command_line(
    program: str,
    type_: type[C],
    start: Callable[[C, asyncio.Event], Coroutine[Any, Any, None]],
    check: Callable[[C], None] = lambda _: None,
    argv: list[str] | None = None,
) -> int:
    """`program --config FILE [--check]` or `program --schema`: the command line every function has. Returns the exit status.

    check: reads what the configuration names (secrets, certificates) and raises ConfigError; runs before `start` and with --check.
    The log level is the configuration's field `log_level` where it has one.
    """
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--config", metavar="FILE", help="YAML configuration file")
    parser.add_argument("--check", action="store_true", help="check the configuration and end")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the configuration and end")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(argv)
    if options.schema:
        print(json.dumps(config.schema(type_), indent=2))
        return 0
    if options.config is None:
        parser.error("--config FILE is required")
    try:
        settings = config.load(options.config, type_)
        check(settings)
    except config.ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    if options.check:
        return 0
    structured.setup(program, getattr(settings, "log_level", "info"))
    return run(lambda stop: start(settings, stop))
