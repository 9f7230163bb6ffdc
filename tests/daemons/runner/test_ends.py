"""Signals, kills and strangers: what ends a playbook, and what does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.daemons.runner.both import FALLBACK, ORDINARY, PLAY, Runner, running, until

LONG = (
    PLAY
    + """    - ansible.builtin.command: touch begun
    - ansible.builtin.command: "{{ ansible_python_interpreter }} -c 'import time; time.sleep({{ seconds }})'"
    - ansible.builtin.debug: {msg: through}
"""
)


def begin(runner: Runner, command: Path, seconds: float) -> subprocess.Popen[str]:
    """A playbook in its long task."""
    (runner.folder / "begun").unlink(missing_ok=True)
    process = runner.start(command, runner.playbook(LONG), "-e", f"seconds={seconds}", start_new_session=True)
    until((runner.folder / "begun").exists, "the first task has run")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_ends_it_as_it_ends_the_ordinary_command(shared: Runner, number: signal.Signals) -> None:
    ends = []
    for command in (ORDINARY, shared.command):
        marker = str(uuid.uuid4())
        shared.env["TEST_MARKER"] = marker
        process = begin(shared, command, 300)
        process.send_signal(number)
        process.wait(30)
        for pid in running(marker):  # a signal that kills outright leaves workers behind, with either command
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        ends.append(process.returncode)
    assert ends[1] == ends[0]


def test_a_stopped_client_stops_the_playbook(shared: Runner) -> None:
    process = begin(shared, shared.command, 1)
    process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    until(lambda: sum(state(pid) == "T" for pid in playbooks(shared)) >= 2, "client and playbook are stopped")
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "through" in out
    assert FALLBACK not in err


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_killed_client_takes_the_playbook_with_it(shared: Runner) -> None:
    begin(shared, shared.command, 300).kill()
    until(lambda: not playbooks(shared), "the playbook is gone")


def playbooks(runner: Runner) -> list[int]:
    """Processes that work in the runner's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == runner.folder and int(entry.name) != runner.process.pid:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_no_descriptor_and_no_process_is_left(shared: Runner) -> None:
    name = shared.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    shared.both(name)

    def held() -> dict[int, int]:
        pids = [shared.process.pid, *(event["pid"] for event in shared.events("runner_warm"))]
        return {pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids}

    before = held()
    for _ in range(5):
        shared.both(name)
    until(lambda: held() == before, "as many descriptors as before")
    children = {event["pid"]: Path(f"/proc/{event['pid']}/task/{event['pid']}/children") for event in shared.events("runner_warm")}
    until(lambda: not any(path.read_text() for path in children.values()), "guards are reaped")


def test_a_server_of_another_user_gets_nothing_and_another_user_is_served_nothing(shared: Runner) -> None:
    name = shared.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    stranger = (
        "import os, socket, sys\n"
        "listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "listener.bind(sys.argv[1])\n"
        "listener.listen(); print('up', flush=True)\n"
        "conn = listener.accept()[0]; print(len(conn.recv(99)), flush=True)\n"
    )
    path = Path("/tmp") / f"clt{os.getpid()}-stranger"
    with subprocess.Popen([sys.executable, "-c", stranger, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            shared.env["CLOSEDLOOP_RUNNER_SOCKET"] = str(path)
            code, out, err = shared.run(shared.command, name)
            assert code == 0
            assert "hello" in out
            assert "another user" in err
            assert process.stdout.readline() == "0\n"
        finally:
            process.kill()
            path.unlink(missing_ok=True)
    # the other way round: connected as nobody, with the folder's permissions out of the way
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        end = 1
        try:
            os.chdir(shared.socket.parent)
            shared.socket.chmod(0o666)
            shared.socket.parent.chmod(0o711)
            os.setgid(65534)
            os.setuid(65534)
            conn.connect("s")
            end = 0 if conn.recv(99) == b"" else 2
        finally:
            os._exit(end)
    assert os.waitpid(pid, 0)[1] == 0
    assert shared.events("runner_refused")[-1]["uid"] == 65534
    shared.socket.chmod(0o600)
    shared.socket.parent.chmod(0o700)


def test_killing_server_and_templates_does_not_end_a_playbook_and_the_next_runs_cold(runner: Runner) -> None:
    process = begin(runner, runner.command, 3)
    runner.process.kill()
    runner.process.wait()
    for event in runner.events("runner_warm"):
        os.kill(event["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "through" in out
    assert FALLBACK not in err
    name = runner.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    code, _, err = runner.run(runner.command, name)
    assert code == 0
    assert FALLBACK in err
    with runner:  # a new server over the old one's socket
        runner.wait_warm(4)
        runner.both(name)


def test_terminating_the_server_waits_for_the_playbook_and_leaves_nothing(runner: Runner) -> None:
    process = begin(runner, runner.command, 3)
    runner.process.terminate()
    until(lambda: not runner.socket.exists(), "no more requests are taken")
    assert runner.process.poll() is None
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "through" in out
    assert runner.process.wait(20) == 0


def test_a_stopped_server_delays_for_two_seconds_and_one_setting_switches_it_off(runner: Runner) -> None:
    name = runner.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    runner.process.send_signal(signal.SIGSTOP)
    code, _, err = runner.run(runner.command, name)
    runner.process.send_signal(signal.SIGCONT)
    assert code == 0
    assert FALLBACK in err
    runner.both(name)
    runner.env["CLOSEDLOOP_RUNNER"] = "off"
    served = len(runner.events("runner_warm"))
    assert runner.run(runner.command, name) == runner.run(ORDINARY, name)
    assert len(runner.events("runner_warm")) == served
