"""One contract, three engines: what was committed is there when the store is opened again, in the state the changes lead to."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from closedloop_nf.ha_b.actions import Persist
from closedloop_nf.ha_b.records import (
    Change,
    DeleteHomeAgent,
    HomeAgentRecord,
    MoveBindings,
    PurgeBindings,
    PutAssociation,
    PutBinding,
    PutHomeAgent,
    State,
)
from closedloop_nf.ha_b.store.interface import Store, StoreError
from closedloop_nf.ha_b.store.memory import MemoryStore
from closedloop_nf.ha_b.store.postgresql import PostgresqlStore
from closedloop_nf.ha_b.store.sqlite import SqliteStore
from closedloop_nf.link.messages import Binding, SecurityAssociation
from closedloop_tools.postgresql import Postgresql

from tests.daemons.ha_b.daemon import care_of, home

Open = Callable[[], Store]


def row(number: int, *, owner: str = "a", lifetime_s: int = 400, revision: int = 1, sequence: int = 1) -> Binding:
    return Binding(home(number), care_of(number), sequence, lifetime_s, 1.5e9 + 0.25, 0xC000, owner, 3, 2**64 - 1 - number, revision)


def agent(name: str, *, serving: bool = True, epoch: int = 1) -> HomeAgentRecord:
    return HomeAgentRecord(
        name=name,
        epoch=epoch,
        instance="i",
        host_id="h",
        region="r",
        address=care_of(1),
        home_link_address=home(1),
        health_host="fe80::1%eth0",
        health_port=80,
        role="active",
        serving=serving,
        draining=not serving,
    )


def batch(number: int, *changes: Change, revision: int = 1, epoch: int = 1) -> Persist:
    return Persist(number, list(changes), revision, epoch)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the store, ending the one opened before."""
    memory = MemoryStore()
    url = request.getfixturevalue("postgresql").database() if request.param == "postgresql" else ""
    opened: list[Store] = []

    def open_again() -> Store:
        for store in opened:
            store.close()
        opened.clear()
        opened.append(
            PostgresqlStore(url) if url else SqliteStore(tmp_path / "state" / "db.sqlite") if request.param == "sqlite" else memory
        )
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


def test_a_new_store_is_empty(reopen: Open) -> None:
    assert reopen().load() == State()


def test_every_field_comes_back_as_it_was(reopen: Open) -> None:
    key = SecurityAssociation(home(1), 2**32 - 1, bytes(range(256))[:64])
    store = reopen()
    store.commit([batch(1, PutBinding(row(1)), PutHomeAgent(agent("a")), PutAssociation(key), revision=2**40, epoch=2**33)])
    store.set_lease(5000)
    store.set_clock(2**63 - 1, 1_800_000_000_000_000)
    assert reopen().load() == State(2**40, 2**33, 5000, [agent("a")], [row(1)], [key], 2**63 - 1, 1_800_000_000_000_000)


def test_later_changes_of_a_transaction_win(reopen: Open) -> None:
    key = SecurityAssociation(home(1), 256, bytes(16))
    store = reopen()
    store.commit(
        [
            batch(1, PutBinding(row(1, sequence=1)), PutBinding(row(2)), PutBinding(row(1, sequence=2))),
            batch(
                2, PutBinding(row(1, sequence=3)), PutHomeAgent(agent("a", epoch=1)), PutHomeAgent(agent("a", epoch=2)), revision=7, epoch=2
            ),
            batch(3, PutAssociation(key), PutAssociation(SecurityAssociation(home(1), 256, b"", removed=True)), revision=8, epoch=2),
        ]
    )
    state = reopen().load()
    assert state.bindings == [row(1, sequence=3), row(2)]
    assert state.home_agents == [agent("a", epoch=2)]
    assert state.associations == []
    assert (state.revision, state.epoch) == (8, 2)


def test_a_move_takes_live_rows_only_and_in_order(reopen: Open) -> None:
    store = reopen()
    store.commit([batch(1, *(PutBinding(row(n)) for n in range(3)), PutBinding(row(3, lifetime_s=0)), PutBinding(row(4, owner="x")))])
    store.commit(
        [batch(2, MoveBindings("a", "b", 9, 10), PutBinding(row(5)), MoveBindings("x", "y", 9, 11), PutBinding(row(0, owner="a")))]
    )
    owners = {bound.home_address: bound.owner for bound in reopen().load().bindings}
    assert owners == {home(0): "a", home(1): "b", home(2): "b", home(3): "a", home(4): "y", home(5): "a"}
    moved = next(bound for bound in reopen().load().bindings if bound.home_address == home(1))
    assert (moved.epoch, moved.revision, moved.sequence) == (9, 10, 1)


def test_purged_and_deleted_things_are_gone_and_can_come_back(reopen: Open) -> None:
    store = reopen()
    store.commit([batch(1, PutBinding(row(1)), PutBinding(row(2)), PutHomeAgent(agent("a")))])
    store.commit([batch(2, PurgeBindings([home(1), home(2), home(9)]), DeleteHomeAgent("a"), PutBinding(row(2, revision=2)))])
    state = reopen().load()
    assert state.bindings == [row(2, revision=2)]
    assert state.home_agents == []


def test_a_thousand_rows_and_an_odd_number_more(reopen: Open) -> None:
    rows = [row(number, revision=number) for number in range(1667)]
    random.Random(1).shuffle(rows)
    store = reopen()
    store.commit([batch(number, PutBinding(bound)) for number, bound in enumerate(rows)])
    assert reopen().load().bindings == sorted(rows, key=lambda bound: bound.home_address)


def test_random_histories_lead_to_what_the_model_says(reopen: Open) -> None:
    random_numbers = random.Random(7)
    model = MemoryStore()
    store = reopen()
    for step in range(60):
        changes: list[Change] = []
        for _ in range(random_numbers.randrange(1, 12)):
            number, owner = random_numbers.randrange(8), random_numbers.choice("abc")
            changes.append(
                random_numbers.choice(
                    [
                        PutBinding(row(number, owner=owner, sequence=step, lifetime_s=random_numbers.choice([0, 400]))),
                        PutBinding(row(number, owner=owner, sequence=step)),
                        MoveBindings(owner, random_numbers.choice("abc"), step, step),
                        PurgeBindings([home(number)]),
                        PutHomeAgent(agent(owner, epoch=step)),
                        DeleteHomeAgent(owner),
                        PutAssociation(SecurityAssociation(home(number), 256, bytes(16))),
                        PutAssociation(SecurityAssociation(home(number), 256, b"", removed=True)),
                    ]
                )
            )
        batches = [batch(step, *changes[:3], revision=step, epoch=step), batch(step, *changes[3:], revision=step + 1, epoch=step)]
        store.commit(batches)
        model.commit(batches)
    found, expected = reopen().load(), model.load()
    found.associations.sort(key=lambda association: (association.home_address, association.spi))
    expected.associations.sort(key=lambda association: (association.home_address, association.spi))
    assert found == expected


# --- engines ----------------------------------------------------------------------------------------------------------


def test_sqlite_keeps_others_and_a_second_process_out(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite"
    store = SqliteStore(path)
    store.commit([batch(1, PutBinding(row(1)))])
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    with pytest.raises(StoreError, match="other HA-B"):
        SqliteStore(path)
    store.close()
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 0600"):
        SqliteStore(path)


def test_sqlite_of_a_newer_release_or_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite"
    store = SqliteStore(path)
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreError, match="newer release"):
        SqliteStore(path)
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(other)
    with pytest.raises(StoreError, match="give a path"):
        SqliteStore(tmp_path)


def test_postgresql_keeps_a_second_process_out(postgresql: Postgresql) -> None:
    url = postgresql.database()
    store = PostgresqlStore(url)
    with pytest.raises(StoreError, match="another HA-B"):
        PostgresqlStore(url)
    store.close()
    PostgresqlStore(url).close()


def test_postgresql_that_cannot_be_reached_is_an_error_without_the_password(postgresql: Postgresql) -> None:
    with pytest.raises(StoreError, match=r"database\.url") as caught:
        PostgresqlStore("postgresql://nobody@/none?host=/nowhere", "pass-word")
    assert "pass-word" not in str(caught.value)
    url = postgresql.database()
    assert PostgresqlStore(url, "not needed here").load() == State()


def test_a_commit_outlives_a_restart_of_postgresql(postgresql: Postgresql) -> None:
    url = postgresql.database()
    store = PostgresqlStore(url, patience_s=60)
    store.commit([batch(1, PutBinding(row(1)))])
    postgresql.stop(signal.SIGQUIT)
    restart = threading.Timer(0.3, postgresql.start)
    restart.start()
    begun = time.monotonic()
    try:
        store.commit([batch(2, PutBinding(row(2)), MoveBindings("a", "b", 5, 5), revision=5)])
    finally:
        restart.join()
    assert time.monotonic() - begun >= 0.2
    store.close()
    state = PostgresqlStore(url).load()
    assert [(bound.home_address, bound.owner) for bound in state.bindings] == [(home(1), "b"), (home(2), "b")]


def test_a_commit_gives_up_when_postgresql_stays_away(postgresql: Postgresql) -> None:
    store = PostgresqlStore(postgresql.database(), patience_s=0.3)
    postgresql.stop()
    try:
        with pytest.raises(StoreError):
            store.commit([batch(1, PutBinding(row(1)))])
    finally:
        postgresql.start()


def test_a_store_taken_over_by_another_is_noticed_without_a_commit(postgresql: Postgresql) -> None:
    url = postgresql.database()
    store = PostgresqlStore(url, patience_s=0.3)
    store.check()
    postgresql.stop(signal.SIGQUIT)
    postgresql.start()
    other = PostgresqlStore(url)
    with pytest.raises(StoreError, match="another HA-B"):
        store.check()
    other.close()
