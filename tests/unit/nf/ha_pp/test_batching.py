"""Merging of actions: the kernel ends the same, and no message overtakes the tunnel it speaks of."""

from __future__ import annotations

from closedloop_nf.ha_pp import events
from closedloop_nf.ha_pp.batching import coalesce
from closedloop_nf.link import messages as link
from hypothesis import given
from hypothesis import strategies as st

homes = st.integers(0, 3).map(lambda n: bytes(15) + bytes([n]))
care_ofs = st.integers(8, 10).map(lambda n: bytes(15) + bytes([n]))
actions = st.lists(
    st.one_of(
        st.builds(events.Install, st.lists(st.tuples(homes, care_ofs), min_size=1, max_size=3)),
        st.builds(events.Install, st.lists(st.tuples(homes, care_ofs), min_size=1, max_size=3)),
        st.builds(events.Remove, st.lists(homes, min_size=1, max_size=2)),
        st.builds(events.Announce, st.lists(homes, max_size=2)),
        st.builds(lambda to: events.SendMobility(bytes(16), to, None, b""), homes),
        st.builds(lambda home: events.SendLink(link.Revoked(home, 1)), homes),
        st.just(events.RevokeLease()),
    ),
    max_size=20,
)
Kernel = dict[bytes, bytes]


def run(steps: list[events.Action]) -> tuple[Kernel, list[tuple[events.Action, Kernel]], list[bytes]]:
    """(kernel at the end, what was sent and the kernel at that moment, announced addresses)."""
    kernel: Kernel = {}
    sent: list[tuple[events.Action, Kernel]] = []
    announced: list[bytes] = []
    for step in steps:
        if isinstance(step, events.Install):
            kernel.update(step.rows)
        elif isinstance(step, events.Remove):
            for home in step.home_addresses:
                kernel.pop(home, None)
        elif isinstance(step, events.Announce):
            announced += step.addresses
        elif isinstance(step, events.SendMobility | events.SendLink):
            sent.append((step, dict(kernel)))
    return kernel, sent, announced


@given(actions)
def test_the_kernel_ends_the_same_and_everything_is_sent_in_the_same_order(steps: list[events.Action]) -> None:
    plain, merged = run(steps), run(coalesce(steps))
    assert merged[0] == plain[0]
    assert [action for action, _ in merged[1]] == [action for action, _ in plain[1]]
    assert merged[2] == plain[2]


@given(actions)
def test_at_every_message_the_kernel_holds_at_least_what_it_would_have_held(steps: list[events.Action]) -> None:
    for (_, later), (_, before) in zip(run(coalesce(steps))[1], run(steps)[1], strict=True):
        assert before.keys() <= later.keys()


@given(actions)
def test_what_was_given_is_not_changed(steps: list[events.Action]) -> None:
    before = repr(steps)
    coalesce(steps)
    assert repr(steps) == before


def test_a_burst_of_registrations_is_one_step_for_the_kernel() -> None:
    burst: list[events.Action] = []
    for n in range(100):
        burst += [events.Install([(bytes([n]), b"c")]), events.Announce([bytes([n])]), events.SendMobility(b"s", b"d", None, b"")]
    merged = coalesce(burst)
    assert sum(isinstance(action, events.Install) for action in merged) == 1
    assert sum(isinstance(action, events.Announce) for action in merged) == 1
    assert isinstance(merged[0], events.Install)
