"""Binding Refresh Requests: ask a mobile node whose lifetime nears its end to register again (RFC 6275 sections 6.1.2 and 9.5.5)."""

from __future__ import annotations

from closedloop_nf.ha_pp import replies
from closedloop_nf.ha_pp.agenda import Agenda
from closedloop_nf.ha_pp.state import State
from closedloop_nf.link.messages import Binding
from closedloop_nf.runtime.clock import Instant

REMAINING_SHARE = 0.1
"""Share of the lifetime still to go when the request is sent. The refresh advice of the acknowledgement asks for more (replies.py)."""
AT_ONCE = 200
"""Requests sent in one step."""


class Refresher:
    """One request per granted lifetime; a registration before that puts it off."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._agenda = Agenda()

    def deadline(self) -> float | None:
        return self._agenda.deadline()

    def plan(self, row: Binding, now: Instant) -> None:
        """The row is served here until `expires_at`."""
        due = now.mono + (row.expires_at - now.wall) - row.lifetime_s * REMAINING_SHARE
        if due > now.mono:
            self._agenda.plan(row.home_address, due)

    def cancel(self, home_address: bytes) -> None:
        """The address is no longer served here."""
        self._agenda.cancel(home_address)

    def tick(self, now: Instant) -> None:
        """Send what is due."""
        state = self._state
        for home_address in self._agenda.take(now.mono, AT_ONCE):
            row = state.known.bindings.get(home_address)
            if row is not None and home_address in state.served and state.serving(now) and state.address is not None:
                state.counters["binding_refresh_requests_sent"] += 1
                state.out.append(
                    replies.binding_refresh_request(source=state.address, home_address=home_address, care_of_address=row.care_of_address)
                )
