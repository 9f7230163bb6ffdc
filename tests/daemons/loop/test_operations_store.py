"""One contract, three engines: the operations journal keeps what it says, for several processes, through kill -9 and a lost database."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation, Refused, State, Terms
from closedloop_loop.operations.store.interface import Store, StoreError
from closedloop_loop.operations.store.memory import MemoryStore
from closedloop_loop.operations.store.open import open_store
from closedloop_loop.operations.store.postgresql import PostgresqlStore
from closedloop_loop.operations.store.sqlite import SqliteStore
from closedloop_loop.policy.decide import Decision
from closedloop_tools.postgresql import Postgresql

from tests.unit.loop.bench import at, onset, policy

Open = Callable[[], Store]
RULES = policy({"kind": "fault", "alarms": ["homeAgentLost"]}, guards={"frequency": [{"operations": 2, "within_s": 100}]})


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    directory = Path(tempfile.mkdtemp(prefix="clt-postgresql-"))  # pytest's own are closed to the user that the server runs as
    server = Postgresql(directory)
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same journal again and again; what was opened is closed at the end."""
    memory = MemoryStore()
    place = str(tmp_path / "j" / "operations.db")
    if request.param == "postgresql":
        place = request.getfixturevalue("server").database()
    opened: list[Store] = []

    def open_again() -> Store:
        opened.append(memory if request.param == "memory" else open_store(place))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


def operation(answer: Operation | Refused) -> Operation:
    assert isinstance(answer, Operation), answer
    return answer


def test_what_was_answered_is_there_when_it_is_opened_again(open_: Open) -> None:
    book = Journal(open_())
    operation(book.submit(RULES, onset(1), None, at(0)))
    running = operation(book.claim(onset(1).request_id, "actor", at(1)))
    again = Journal(open_())
    assert again.get(onset(1).request_id) == running
    assert operation(again.finish(running.request_id, running.token, True, "ok", at(2))).state is State.SUCCEEDED
    assert Journal(open_()).recent() == again.recent()


def test_numbers_and_tokens_grow_over_restarts(open_: Open) -> None:
    tokens = []
    for number in range(3):
        book = Journal(open_())
        operation(book.submit(RULES, onset(number, target=f"t{number}"), None, at(number)))
        tokens.append(operation(book.claim(onset(number, target=f"t{number}").request_id, "actor", at(number))).token)
        book.finish(onset(number, target=f"t{number}").request_id, tokens[-1], True, "", at(number))
    assert tokens == [1, 2, 3]
    assert [known.number for known in Journal(open_()).recent()] == [3, 2, 1]


def test_guards_see_the_history(open_: Open) -> None:
    book = Journal(open_())
    for number in range(2):
        operation(book.submit(RULES, onset(number), None, at(number)))
        token = operation(book.claim(onset(number).request_id, "actor", at(number))).token
        book.finish(onset(number).request_id, token, True, "", at(number))
    assert operation(book.submit(RULES, onset(2), None, at(3))).state is State.DENIED
    assert operation(book.submit(RULES, onset(2), None, at(100))).state is State.PENDING


def test_an_order_and_the_end_of_its_actor_are_kept(open_: Open) -> None:
    book = Journal(open_())
    decision = Decision(action="failover", target="ha-pp-a", region="region-b", reason="by hand")
    ordered = operation(book.order(onset(1, loop="by-hand"), decision, Terms(), "a-person", at(0)))
    again = Journal(open_())
    assert again.opened() == [ordered]
    operation(again.lost(ordered.request_id, ordered.token, at(1)))
    assert [waiting.request_id for waiting in Journal(open_()).due(at(1))] == [ordered.request_id]
    resumed = operation(Journal(open_()).claim(ordered.request_id, "next", at(1)))
    book.finish(ordered.request_id, resumed.token, True, "", at(2))
    assert again.opened() == []


def test_operations_of_one_group_are_claimed_one_after_the_other(open_: Open) -> None:
    book = Journal(open_())
    for number in range(2):
        operation(book.submit(RULES, onset(number, target=f"t{number}"), None, at(number)))
    first = operation(book.claim(onset(0, target="t0").request_id, "one", at(2)))
    assert isinstance(Journal(open_()).claim(onset(1, target="t1").request_id, "two", at(2)), Refused)
    book.finish(first.request_id, first.token, True, "", at(3))
    assert isinstance(Journal(open_()).claim(onset(1, target="t1").request_id, "two", at(3)), Refused)  # decided before that ended
    book.submit(RULES, onset(1, target="t1"), None, at(3))
    assert operation(Journal(open_()).claim(onset(1, target="t1").request_id, "two", at(3))).group == "default"


def test_listing_can_be_narrowed(open_: Open) -> None:
    book = Journal(open_())
    for number in range(4):
        book.submit(RULES, onset(number, target=f"t{number % 2}"), None, at(number))
    book.cancel(onset(0, target="t0").request_id, at(8))
    book.claim(onset(1, target="t1").request_id, "actor", at(9))
    assert [known.number for known in book.recent(2)] == [4, 3]
    assert [known.number for known in book.recent(9, State.RUNNING)] == [2]
    assert [known.number for known in book.recent(9, None, "t0")] == [3, 1]


def test_work_that_fails_writes_nothing(open_: Open) -> None:
    store = open_()
    book = Journal(store)
    running = operation(book.submit(RULES, onset(1), None, at(0)))

    def work(view: object) -> tuple[None, list[Operation]]:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        store.transact(work)
    assert book.get(running.request_id) == running
    operation(book.claim(running.request_id, "actor", at(1)))


def test_of_many_actors_at_once_one_gets_it(open_: Open) -> None:
    Journal(open_()).submit(RULES, onset(1), None, at(0))
    answers: list[Operation | Refused] = []

    def act(name: str, store: Store) -> None:
        answers.append(Journal(store).claim(onset(1).request_id, name, at(1)))

    threads = [threading.Thread(target=act, args=(f"actor-{number}", open_())) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(isinstance(answer, Operation) for answer in answers) == 1
    assert len(answers) == 6


def test_a_killed_process_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    place = tmp_path / "operations.db"
    root = Path(__file__).resolve().parents[3]
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from closedloop_loop.operations.journal import Journal\n"
        "from closedloop_loop.operations.store.sqlite import SqliteStore\n"
        "from tests.unit.loop.bench import at, onset, policy\n"
        "rules = policy({'kind': 'fault', 'alarms': ['homeAgentLost']})\n"
        "book = Journal(SqliteStore(Path(sys.argv[1])))\n"
        "for number in range(100000):\n"
        "    print(book.submit(rules, onset(number, target=f't{number}'), None, at(0)).request_id, flush=True)\n"
    )
    answered: set[str] = set()
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", script, str(place)], cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(len(answered) + 25):
                answered.add(process.stdout.readline().strip())
            process.send_signal(signal.SIGKILL)
            answered.update(line.strip() for line in process.stdout if line.endswith("\n"))
    store = SqliteStore(place)
    assert answered <= {known.request_id for known in store.recent(1_000_000)}
    store.close()


def test_a_database_that_goes_away_for_a_moment_is_waited_for(server: Postgresql) -> None:
    store = PostgresqlStore(server.database(), patience_s=60)  # its recovery may take longer than usual on a busy machine
    book = Journal(store)
    operation(book.submit(RULES, onset(1), None, at(0)))
    server.stop(signal.SIGQUIT)
    back = threading.Timer(0.5, server.start)
    back.start()
    assert operation(book.claim(onset(1).request_id, "actor", at(1))).state is State.RUNNING
    back.join()
    store.close()


def test_a_process_that_opens_it_twice_keeps_what_others_write(tmp_path: Path) -> None:
    place = tmp_path / "operations.db"
    first = SqliteStore(place)
    SqliteStore(place).close()
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from closedloop_loop.operations.journal import Journal\n"
        "from closedloop_loop.operations.store.sqlite import SqliteStore\n"
        "from tests.unit.loop.bench import at, onset, policy\n"
        "store = SqliteStore(Path(sys.argv[1]))\n"
        "Journal(store).submit(policy({'kind': 'fault', 'alarms': ['homeAgentLost']}), onset(), None, at(0))\n"
        "store.close()\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script, str(place)], cwd=Path(__file__).resolve().parents[3], check=True)
        assert [known.request_id for known in first.open()] == [onset().request_id]
    first.close()


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    import sqlite3

    place = tmp_path / "operations.db"
    SqliteStore(place).close()
    with sqlite3.connect(place) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="install the release that wrote it"):
        SqliteStore(place)


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as error:
        open_store("postgresql://user:very-secret@[::1]:1/none")
    assert "very-secret" not in str(error.value)
