"""A daemon that serves, and what its namespace holds beside it."""

from __future__ import annotations

from closedloop_nf.link import messages as link

from tests.daemons.ha_pp.backend import Backend
from tests.daemons.ha_pp.lab import (
    Daemon,
    Lab,
    until,
)


async def serving(lab: Lab, backend: Backend, **changes: object) -> Daemon:
    """A daemon that is ready: synced, with a lease."""
    daemon = Daemon(lab, **changes).start()
    await ready(daemon, backend)
    return daemon


async def ready(daemon: Daemon, backend: Backend) -> None:
    before = len(backend.said(link.Synced))

    def synced() -> bool:
        daemon.alive()
        return len(backend.said(link.Synced)) > before and bool(daemon.logged("lease_held"))

    if not daemon.logged("lease_held"):
        await until("ha-pp is ready", synced)


def vanilla(before: str, after: str) -> list[str]:
    """Kernel state that was not there before."""
    return sorted(set(after.splitlines()) - set(before.splitlines()))
