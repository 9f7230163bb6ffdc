"""The keeper: a process that outlives a playbook by a moment.

It holds a descriptor of the playbook's process, renews the operation's lease as long as that lives, and ends the lease when it has died, so
that another takes over within milliseconds. Is the keeper killed too, the lease ends by itself. When the journal has given the operation to
another, as this machine stood still or the time was up, the keeper kills the playbook: tasks do not ask whether they may go on.

It is a fork, not a program of its own: starting an interpreter would take more of the machine in the middle of an outage than the keeper
needs in all its life.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import time
from pathlib import Path
from typing import Final, Never

from closedloop_loop.clock import now
from closedloop_loop.operations.core import GRACE_S
from closedloop_loop.operations.journal import LEASE_S, Journal
from closedloop_loop.operations.model import Refused
from closedloop_loop.operations.store.interface import Store, StoreError
from closedloop_loop.operations.store.open import open_store

RENEW_S: Final = GRACE_S * 2 / 3
RETRY_S: Final = 0.1
PR_SET_NAME: Final = 15
NAME: Final = b"op-keeper"


def keep(place: str, request_id: str, token: int, pid: int) -> None:
    """Start the keeper of an operation that process `pid` has claimed. Returns when it is watching."""
    process = os.pidfd_open(pid)
    try:
        middle = os.fork()
        if middle == 0:
            _become(place, request_id, token, process)
        os.waitpid(middle, 0)
    finally:
        os.close(process)


def _become(place: str, request_id: str, token: int, process: int) -> Never:
    """In the child: a process that belongs to nobody and holds nothing of the playbook's."""
    try:
        gc.disable()  # a collection would copy every page that is shared with the playbook
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for handled in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
            signal.signal(handled, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        watched = process
        if watched != 3:
            os.dup2(process, 3)
            watched = 3
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        watch(place, request_id, token, watched)
    finally:
        os._exit(0)


def watch(place: str, request_id: str, token: int, process: int) -> None:
    """Until the operation is not the process's any more, or the process has ended."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    store: Store | None = None
    wait_s, give_up = RENEW_S, float("inf")
    while True:
        ended = bool(poll.poll(wait_s * 1000))
        if ended:
            give_up = min(give_up, time.monotonic() + LEASE_S)
        try:
            if store is None:
                if "://" not in place and not Path(place).exists():
                    return  # it was removed with all it stood for; opening would make a new one
                store = open_store(place)
            journal = Journal(store)
            answer = journal.lost(request_id, token, now()) if ended else journal.renew(request_id, token, now())
        except StoreError:
            if time.monotonic() >= give_up:
                return
            wait_s = RETRY_S
            if ended:
                time.sleep(RETRY_S)
            continue
        if ended:
            return
        if isinstance(answer, Refused):
            if answer.operation is not None and answer.operation.taken_from(token):
                signal.pidfd_send_signal(process, signal.SIGKILL)
            return
        wait_s = RENEW_S
