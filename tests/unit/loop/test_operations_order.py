"""What may run beside what, orders by hand, and actors that are seen to end."""

from __future__ import annotations

from closedloop_loop.operations.model import Refused, State
from closedloop_loop.policy.inventory import Inventory, Module, Unreadable

from tests.unit.loop.bench import at, onset, world
from tests.unit.loop.test_operations import WORLD, begun, hand, journal, operation, refused, rules


def test_operations_of_one_group_go_one_after_the_other() -> None:
    book = journal()
    first = begun(book)
    other = onset(2, target="ha-pp-b")
    operation(book.submit(rules(), other, WORLD, at(1)))
    assert first.request_id in refused(book.claim(other.request_id, "other", at(1)))
    assert other.request_id not in [waiting.request_id for waiting in book.due(at(1))]
    book.finish(first.request_id, 1, True, "", at(2))
    assert [waiting.request_id for waiting in book.due(at(2))] == [other.request_id]
    operation(book.submit(rules(), other, WORLD, at(2)))
    assert operation(book.claim(other.request_id, "other", at(3))).state is State.RUNNING


def test_different_groups_go_side_by_side() -> None:
    book = journal()
    modules = [Module(name=f"upf-{group}", region="region-a", group=group) for group in ("east", "west")]
    for number, module in enumerate(modules):
        message = onset(number, target=module.name)
        book.submit(rules(), message, Inventory(regions=WORLD.regions, modules=modules), at(0))
        assert operation(book.claim(message.request_id, f"actor-{number}", at(0))).token == number + 1


def test_an_order_is_begun_at_once_whatever_guards_say_and_whatever_waits() -> None:
    book = journal()
    book.submit(rules(), onset(1, target="ha-pp-b"), WORLD, at(0))
    ordered = operation(hand(book, 7, 1, region="region-b"))
    assert (ordered.state, ordered.actor, ordered.region, ordered.attempt) == (State.RUNNING, "a-person", "region-b", 1)
    assert ordered.request_id in refused(book.claim(onset(1, target="ha-pp-b").request_id, "loop", at(2)))
    assert hand(book, 7, 3) == ordered


def test_an_order_does_not_begin_beside_what_runs() -> None:
    book = journal()
    running = begun(book)
    for target in ("ha-pp-a", "ha-pp-b"):
        answer = hand(book, 7, 1, target=target)
        assert isinstance(answer, Refused)
        assert answer.operation == running
    assert book.get(onset(7, loop="by-hand").request_id) is None


def test_an_order_takes_up_what_waits_to_do_the_same() -> None:
    book = journal()
    crowded = world(region_a=0)
    denied = operation(book.submit(rules(), onset(1), crowded, at(0)))
    assert denied.state is State.DENIED
    ordered = operation(hand(book, 7, 1))
    assert (ordered.request_id, ordered.state, ordered.guard) == (denied.request_id, State.RUNNING, None)
    operation(book.lost(ordered.request_id, ordered.token, at(2)))
    resumed = operation(hand(book, 8, 3))
    assert (resumed.request_id, resumed.attempt, resumed.resumptions) == (denied.request_id, 1, 1)
    assert resumed.token > ordered.token
    assert len(book.recent()) == 1


def test_an_actor_seen_to_end_is_replaced_before_its_lease_has_ended() -> None:
    book = journal()
    running = begun(book)
    operation(book.lost(running.request_id, running.token, at(1)))
    assert [waiting.request_id for waiting in book.due(at(1))] == [running.request_id]
    assert "stop" in refused(book.lost(running.request_id, running.token, at(1)))
    resumed = operation(book.claim(running.request_id, "next", at(1)))
    assert "stop" in refused(book.lost(running.request_id, running.token, at(2)))
    assert operation(book.finish(running.request_id, resumed.token, True, "", at(3))).state is State.SUCCEEDED
    assert "stop" in refused(book.lost(running.request_id, resumed.token, at(4)))


def test_what_is_half_done_is_done_to_its_end_though_it_has_abated() -> None:
    book = journal()
    running = begun(book)
    book.lost(running.request_id, running.token, at(1))
    assert operation(book.submit(rules(), onset(status="ABATED"), WORLD, at(2))).state is State.PENDING
    assert operation(book.claim(running.request_id, "next", at(3))).state is State.RUNNING


def test_without_a_readable_inventory_the_decision_waits_and_says_why() -> None:
    book = journal()
    waiting = operation(book.submit(rules(), onset(), Unreadable("placement/x.json: state: is missing; add it"), at(0)))
    assert (waiting.state, waiting.guard, waiting.due_us) == (State.DENIED, "inventory", at(1).wall_us)
    assert waiting.reason.startswith("placement/x.json: state")
    assert operation(book.submit(rules(), onset(), WORLD, at(1))).state is State.PENDING


def test_what_has_waited_is_decided_anew_when_the_one_before_it_has_ended() -> None:
    """Two are idle, and one may go: by the time the first is gone the second is the last."""
    book = journal()
    rule = rules(action="scale_in", guards={"min_instances": 1})
    both = Inventory(modules=[Module(name=name, region="region-a") for name in ("ha-pp-a", "ha-pp-b")])
    first, second = onset(1, target="ha-pp-a"), onset(2, target="ha-pp-b")
    for message in (first, second):
        assert operation(book.submit(rule, message, both, at(0))).state is State.PENDING
    operation(book.finish(first.request_id, operation(book.claim(first.request_id, "one", at(0))).token, True, "", at(5)))
    assert "submit its onset again" in refused(book.claim(second.request_id, "two", at(5)))
    assert [waiting.request_id for waiting in book.due(at(5))] == [second.request_id]
    left = Inventory(modules=both.modules[1:])
    denied = operation(book.submit(rule, second, left, at(5)))
    assert (denied.state, denied.guard, denied.outdated) == (State.DENIED, "instances", False)


def test_what_has_waited_keeps_its_turn_where_it_may_still_begin() -> None:
    book = journal()
    first = begun(book)
    for number, target in ((2, "ha-pp-b"), (3, "t1")):
        operation(book.submit(rules(), onset(number, target=target), WORLD, at(1)))
    book.finish(first.request_id, 1, False, "", at(2))
    book.finish(
        first.request_id,
        operation(book.claim(operation(book.submit(rules(), first.onset, WORLD, at(7))).request_id, "x", at(7))).token,
        False,
        "",
        at(8),
    )
    (next_one,) = book.due(at(8))
    assert (next_one.onset.target, next_one.outdated) == ("ha-pp-b", True)
    assert operation(book.submit(rules(), next_one.onset, WORLD, at(8))).state is State.PENDING
    (next_one,) = book.due(at(8))
    assert (next_one.onset.target, next_one.outdated) == ("ha-pp-b", False)


def test_an_attempt_that_has_removed_its_target_is_followed_by_another() -> None:
    """In the group that the module was in."""
    book = journal()
    message = onset(1, target="upf-1")
    there = Inventory(regions=WORLD.regions, modules=[Module(name="upf-1", region="region-a", group="east")])
    book.submit(rules(), message, there, at(0))
    book.finish(message.request_id, operation(book.claim(message.request_id, "one", at(0))).token, False, "no standby", at(1))
    again = operation(book.submit(rules(), message, Inventory(regions=WORLD.regions), at(6)))
    assert (again.state, again.group) == (State.PENDING, "east")
    assert operation(book.claim(message.request_id, "two", at(6))).attempt == 2


def test_what_heals_comes_before_what_scales_and_has_not_begun_or_waits_for_its_next_attempt() -> None:
    book = journal()
    scaling = rules(action="scale_in", guards={"min_instances": 0}, retries=5)
    first, second, failed = (onset(number, target=target) for number, target in ((1, "ha-pp-a"), (2, "ha-pp-b"), (3, "t1")))
    for rule, message in ((scaling, first), (scaling, second), (rules(), failed)):
        operation(book.submit(rule, message, WORLD, at(0)))
    assert [waiting.onset.target for waiting in book.due(at(0))] == ["t1"]
    assert failed.request_id in refused(book.claim(first.request_id, "one", at(0)))
    healing = operation(book.claim(failed.request_id, "two", at(0)))
    book.finish(failed.request_id, healing.token, True, "", at(1))
    operation(book.submit(scaling, first, WORLD, at(1)))
    book.finish(first.request_id, operation(book.claim(first.request_id, "one", at(1))).token, False, "none else serves", at(2))
    again = onset(4, target="t2")
    operation(book.submit(rules(), again, WORLD, at(3)))
    assert [waiting.onset.target for waiting in book.due(at(3)) if waiting.action == "failover"] == ["t2"]
    assert operation(book.claim(again.request_id, "two", at(3))).state is State.RUNNING


def test_a_scale_in_is_called_off_where_too_few_are_left_meanwhile_unless_its_target_is_leaving() -> None:
    book = journal()
    scaling = rules(action="scale_in", retries=5)
    both = [Module(name=name, region="region-a") for name in ("ha-pp-a", "ha-pp-b")]
    operation(book.submit(scaling, onset(), Inventory(modules=both), at(0)))
    for seconds in (0, 10):
        token = operation(book.claim(onset().request_id, "one", at(seconds))).token
        book.finish(onset().request_id, token, False, "", at(seconds + 1))
        leaving = Inventory(modules=[Module(name="ha-pp-a", region="region-a", state="draining")])
        assert operation(book.submit(scaling, onset(), leaving, at(seconds + 10))).state is State.PENDING
    token = operation(book.claim(onset().request_id, "one", at(20))).token
    book.finish(onset().request_id, token, False, "", at(21))
    denied = operation(book.submit(scaling, onset(), Inventory(modules=both[:1]), at(30)))
    assert (denied.state, denied.guard) == (State.DENIED, "instances")
    assert operation(book.submit(scaling, onset(status="ABATED"), Inventory(modules=both[:1]), at(31))).state is State.CANCELLED


def test_a_failover_leaves_nothing_to_scale_in() -> None:
    """A module that comes back under the same name is another one."""
    book = journal()
    scaling = rules(action="scale_in", retries=5)
    idle, failed = onset(1), onset(2)
    operation(book.submit(scaling, idle, WORLD, at(0)))
    book.finish(idle.request_id, operation(book.claim(idle.request_id, "one", at(0))).token, False, "", at(1))
    operation(book.submit(rules(), failed, WORLD, at(1)))
    book.finish(failed.request_id, operation(book.claim(failed.request_id, "two", at(1))).token, True, "", at(2))
    assert operation(book.get(idle.request_id)).state is State.CANCELLED
