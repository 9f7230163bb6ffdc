"""The module closedloop.mobility.operation in real playbooks: begun once, by hand or by the loop, kept while the playbook lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from closedloop_loop.clock import now
from closedloop_loop.onset import to_map
from closedloop_loop.operations import keeper
from closedloop_loop.operations.journal import LEASE_S, Journal
from closedloop_loop.operations.model import Operation, State
from closedloop_loop.operations.store.sqlite import SqliteStore

from tests.unit.loop.bench import onset, policy

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
RULES = policy({"kind": "fault", "alarms": ["homeAgentLost"]})
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - closedloop.mobility.operation:
        journal: "{{ operations_journal }}"
        state: begun
        onset: "{{ onset | default(omit) }}"
        order: "{{ omit if onset is defined else {'action': 'failover', 'target': target, 'region': 'region-b'} }}"
      register: answer
    - ansible.builtin.copy:
        content: "{{ answer | to_json }}"
        dest: "{{ report }}"
      check_mode: false
    - ansible.builtin.meta: end_play
      when: not answer.begun
    - closedloop.mobility.operation:
        journal: "{{ operations_journal }}"
        state: staged
        request_id: "{{ answer.operation.request_id }}"
        token: "{{ answer.operation.token }}"
        stage: function_ready
    - ansible.builtin.wait_for:
        path: "{{ wait_for_path }}"
        sleep: 1
      when: wait_for_path is defined
    - closedloop.mobility.operation:
        journal: "{{ operations_journal }}"
        state: finished
        request_id: "{{ answer.operation.request_id }}"
        token: "{{ answer.operation.token }}"
        succeeded: "{{ succeeded | default(true) }}"
        message: "{{ '{{' }} no template {{ '}}' }}"
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


class Bench:
    """A folder with a journal and a playbook."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder / "operations.db"
        self.play = folder / "play.yml"
        self.play.write_text(PLAY)
        self.runs = 0

    def begin(self, *options: str, **variables: Any) -> tuple[subprocess.Popen[str], Path]:
        """The process, and the file in which it tells how it began."""
        self.runs += 1
        report = self.folder / f"report-{self.runs}"
        given = json.dumps({"operations_journal": str(self.place), "report": str(report), "target": "ha-pp-a", **variables})
        command = [str(Path(sys.executable).with_name("ansible-playbook")), str(self.play), "--extra-vars", given, *options]
        environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        return process, report

    def run(self, *options: str, **variables: Any) -> tuple[int, str, dict[str, Any]]:
        process, report = self.begin(*options, **variables)
        output = process.communicate(timeout=PATIENCE_S)[0]
        return process.returncode, output, json.loads(report.read_text()) if report.exists() else {}

    def journal(self) -> Journal:
        return Journal(SqliteStore(self.place))

    def submit(self, number: int = 1, **more: Any) -> dict[str, Any]:
        message = onset(number, **more)
        assert isinstance(self.journal().submit(RULES, message, None, now()), Operation)
        return to_map(message)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_onset_is_begun_once_staged_and_finished_and_a_second_delivery_changes_nothing(bench: Bench) -> None:
    message = bench.submit(value=3.5, limit=2.0)
    status, output, answer = bench.run(onset=message)
    assert status == 0, output
    assert answer["begun"]
    assert (answer["operation"]["target"], answer["operation"]["value"], answer["operation"]["attempt"]) == ("ha-pp-a", 3.5, 1)
    known = bench.journal().get(str(message["requestID"]))
    assert known is not None
    assert (known.state, known.message) == (State.SUCCEEDED, "{{ no template }}")
    assert [stage.name for stage in known.stages] == ["accepted", "decided", "started", "function_ready", "succeeded"]
    status, output, answer = bench.run(onset=message)
    assert status == 0, output
    assert "changed=1" in output  # the report of this test
    assert (answer["begun"], answer["changed"], answer["reason"]) == (
        False,
        False,
        "it is succeeded; only a pending operation can be claimed",
    )
    assert bench.journal().get(known.request_id) == known


def test_of_several_playbooks_at_once_one_begins(bench: Bench) -> None:
    message = bench.submit()
    runs = [bench.begin(onset=message) for _ in range(3)]
    for process, _ in runs:
        assert process.wait(PATIENCE_S) == 0, process.communicate()[0]
    assert sorted(json.loads(report.read_text())["begun"] for _, report in runs) == [False, False, True]


def test_by_hand_it_is_an_operation_too(bench: Bench) -> None:
    status, output, answer = bench.run()
    assert status == 0, output
    [known] = bench.journal().recent()
    assert known.request_id == answer["operation"]["request_id"]
    assert (known.loop, known.onset.sender, known.region, known.state) == ("by-hand", "closedloop.operator", "region-b", State.SUCCEEDED)


def test_check_mode_says_what_would_be_and_writes_nothing(bench: Bench) -> None:
    status, output, answer = bench.run("--check", "--diff")
    assert status == 0, output
    assert (answer["begun"], answer["changed"]) == (True, True)
    assert "function_ready" in output
    assert not bench.place.exists()
    message = bench.submit()
    before = bench.journal().recent()
    status, output, answer = bench.run("--check", onset=message)
    assert status == 0, output
    assert answer["begun"]
    assert bench.journal().recent() == before


def test_a_killed_playbook_leaves_its_operation_to_the_next_at_once(bench: Bench) -> None:
    message = bench.submit()
    process, _ = bench.begin(onset=message, wait_for_path=str(bench.folder / "never"))
    journal = bench.journal()
    request_id = str(message["requestID"])

    def known() -> Operation:
        found = journal.get(request_id)
        assert found is not None
        return found

    wait_for(lambda: any(stage.name == "function_ready" for stage in known().stages), "begun")
    token = known().token
    os.killpg(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    process.communicate()
    wait_for(lambda: known().state is State.PENDING, "given up")
    assert time.monotonic() - killed < LEASE_S / 2
    status, output, answer = bench.run(onset=message)
    assert status == 0, output
    assert (answer["operation"]["attempt"], answer["operation"]["resumptions"]) == (1, 1)
    assert known().token > token
    assert known().state is State.SUCCEEDED


def superseded(bench: Bench, gate: Path, *, kept: bool) -> subprocess.Popen[str]:
    """A playbook whose operation another has taken over while it waits for the gate; kept: its keeper lives."""
    message = bench.submit()
    process, report = bench.begin(onset=message, wait_for_path=str(gate))
    journal = bench.journal()
    wait_for(report.exists, "begun")
    wait_for(lambda: any(stage.name == "function_ready" for stage in journal.opened()[0].stages), "staged")
    if not kept:
        (of_it,) = _keepers(process.pid)
        os.kill(of_it, signal.SIGKILL)
        wait_for(lambda: not _keepers(process.pid), "the keeper has ended")
    journal.lost(str(message["requestID"]), journal.opened()[0].token, now())
    assert isinstance(journal.claim(str(message["requestID"]), "another", now()), Operation)
    return process


def test_a_playbook_that_was_superseded_is_killed_by_its_keeper(bench: Bench) -> None:
    process = superseded(bench, bench.folder / "never", kept=True)
    output = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == -signal.SIGKILL, output
    assert bench.journal().opened()[0].actor == "another"


def test_a_superseded_playbook_that_has_lost_its_keeper_is_refused_at_its_next_step(bench: Bench) -> None:
    gate = bench.folder / "gate"
    process = superseded(bench, gate, kept=False)
    gate.touch()
    output = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 2, output
    assert "another actor has taken over, stop" in output
    assert bench.journal().opened()[0].actor == "another"


def test_an_order_beside_another_operation_fails_and_says_which(bench: Bench) -> None:
    message = bench.submit()
    journal = Journal(SqliteStore(bench.place), lease_s=600)
    running = journal.claim(str(message["requestID"]), "the-loop", now())
    assert isinstance(running, Operation)
    status, output, _ = bench.run(target="ha-pp-b")
    assert status == 2
    assert f"the-loop carries out operation {running.request_id}" in output
    status, output, answer = bench.run(target="ha-pp-a")
    assert status == 0, output
    assert (answer["begun"], answer["operation"]["request_id"]) == (False, running.request_id)
    assert len(journal.recent()) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"requestID": "x"}, "requestID"),
        ({"target": "a b"}, "target"),
        ({"closedLoopEventStatus": "ABATED"}, "only an ONSET"),
        ({"further": "field"}, "further"),
        ({"closedLoopAlarmStart": "soon"}, "closedLoopAlarmStart"),
        ({"requestID": "00000000-0000-0000-0000-000000000000"}, "no operation has this request id"),
    ],
)
def test_an_onset_that_is_none_is_refused(bench: Bench, change: dict[str, Any], told: str) -> None:
    status, output, _ = bench.run(onset={**bench.submit(), **change})
    assert status == 2, output
    assert told in output
    assert [known.state for known in bench.journal().recent()] == [State.PENDING]


@pytest.fixture
def sleeper() -> Iterator[int]:
    """Process id of one that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_keeper_renews_while_the_process_lives_and_ends_with_the_operation(
    bench: Bench, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RENEW_S", 0.05)
    message = onset()
    store = SqliteStore(bench.place)
    Journal(store).submit(RULES, message, None, now())
    running = Journal(store).claim(message.request_id, "sleeper", now())
    assert isinstance(running, Operation)
    store.close()  # SQLite's connections do not outlive a fork
    keeper.keep(str(bench.place), running.request_id, running.token, sleeper)
    journal = bench.journal()
    wait_for(lambda: (journal.opened()[0].lease_until_us or 0) > (running.lease_until_us or 0), "renewed")
    assert len(_keepers(sleeper)) == 1
    journal.finish(running.request_id, running.token, True, "", now())
    wait_for(lambda: not _keepers(sleeper), "the keeper has ended")


def test_a_keeper_kills_the_process_when_another_has_taken_over(bench: Bench, sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "RENEW_S", 0.05)
    message = onset()
    store = SqliteStore(bench.place)
    Journal(store).submit(RULES, message, None, now())
    running = Journal(store).claim(message.request_id, "sleeper", now())
    assert isinstance(running, Operation)
    Journal(store).lost(running.request_id, running.token, now())
    assert isinstance(Journal(store).claim(message.request_id, "successor", now()), Operation)
    store.close()
    keeper.keep(str(bench.place), running.request_id, running.token, sleeper)
    wait_for(lambda: Path(f"/proc/{sleeper}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "killed")


def _keepers(watched: int) -> list[int]:
    """Processes that hold a descriptor of the process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() != "op-keeper":
                continue
            if f"Pid:\t{watched}\n" in (folder / "fdinfo" / "3").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_journal_that_was_removed_is_not_made_anew_by_a_keeper(bench: Bench, sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "RENEW_S", 0.05)
    keeper.keep(str(bench.folder / "gone.db"), onset().request_id, 1, sleeper)
    wait_for(lambda: not _keepers(sleeper), "the keeper has ended")
    assert not (bench.folder / "gone.db").exists()
