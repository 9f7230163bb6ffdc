"""A playbook by the warm runner cannot be told from one by the ordinary command."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.daemons.runner.both import FALLBACK, ORDINARY, PLAY, Runner

STATE = (
    PLAY
    + """    - ansible.builtin.debug:
        msg:
          - "{{ lookup('ansible.builtin.env', 'COLOUR_OF_SKY') }} {{ lookup('ansible.builtin.env', 'NOT_SET', default='unset') }}"
          - "{{ lookup('ansible.builtin.pipe', 'pwd; umask; ulimit -n; nice; cat; ls /proc/self/fd | wc -l') }}"
          - "{{ lookup('ansible.builtin.pipe', 'grep Sig[BI] /proc/self/status') }}"
          - "{{ extra | default('none') }} {{ ansible_check_mode }} {{ playbook_dir }} {{ ansible_config_file | default('none') }}"
    - ansible.builtin.command: "printenv COLOUR_OF_SKY"
    - ansible.builtin.copy: {content: "text\\n", dest: "{{ playbook_dir }}/file", mode: "0600"}
      check_mode: true
      diff: true
"""
)
CASES = {
    "state": (STATE, (), 0),
    "check and diff": (STATE, ("--check", "--diff"), 0),
    "extra variables": (STATE, ("-e", '{"extra": "{{ 1 + 1 }} ä"}'), 0),
    "verbose": (PLAY + "    - ansible.builtin.debug: {msg: hello}\n", ("-vv",), 0),
    "failed task": (PLAY + "    - ansible.builtin.command: 'false'\n", (), 2),
    "unreachable": (PLAY + "    - ansible.builtin.ping:\n", ("-e", "ansible_connection=ssh ansible_port=1"), 4),
    "syntax": ("- hosts: all\n  tasks: [\n", (), 4),
    "no such module": (PLAY + "    - no_such_module_anywhere:\n", (), 4),
    "wrong option": (PLAY, ("--no-such-option",), 2),
    "prompt without a terminal": (
        PLAY.replace("  tasks", "  vars_prompt: [{name: word, prompt: Word}]\n  tasks") + "    - ansible.builtin.debug: {var: word}\n",
        (),
        0,
    ),
    "vault password asked for": (PLAY + "    - ansible.builtin.debug: {msg: hello}\n", ("--ask-vault-pass",), None),
    "list of tasks": (STATE, ("--list-tasks",), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_output_errors_and_exit_status_are_those_of_the_ordinary_command(shared: Runner, case: str) -> None:
    text, argv, status = CASES[case]
    shared.env["COLOUR_OF_SKY"] = "blue"
    code, _, _ = shared.both(shared.playbook(text), *argv)
    assert status is None or code == status


def test_umask_limits_niceness_and_ignored_signals_are_taken_over(shared: Runner) -> None:
    import resource
    import signal

    def become() -> None:
        os.umask(0o027)
        os.nice(3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (700, 900))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    _, out, _ = shared.both(shared.playbook(STATE), preexec_fn=become)
    assert f"0027\\n700\\n{os.nice(0) + 3}" in out


def test_an_inherited_descriptor_has_its_number(shared: Runner) -> None:
    read, write = os.pipe()
    os.close(write)
    name = shared.playbook(
        PLAY
        + "    - ansible.builtin.debug: {msg: \"{{ lookup('ansible.builtin.file', '/dev/fd/NUMBER') }}\"}\n".replace("NUMBER", str(read))
    )
    secret = shared.folder / "secret"
    secret.write_text("handed over")
    os.close(read)
    number = os.open(secret, os.O_RDONLY)
    try:
        os.dup2(number, read)
        _, out, _ = shared.both(name, pass_fds=(read,))
    finally:
        os.close(number)
        if read != number:
            os.close(read)
    assert "handed over" in out


def test_plugins_beside_the_playbook_are_found(shared: Runner) -> None:
    filters = shared.folder / "filter_plugins"
    filters.mkdir()
    (filters / "core.py").write_text("class FilterModule:\n    def filters(self):\n        return {'shout': lambda text: text.upper()}\n")
    name = shared.playbook(PLAY + "    - ansible.builtin.debug: {msg: \"{{ 'quiet' | shout | b64encode }}\"}\n")
    _, out, _ = shared.both(name)
    assert "UVVJRVQ=" in out


def test_ansible_runner_is_served_warm_from_its_first_playbook(shared: Runner) -> None:
    """As ansible-rulebook starts it: with a terminal of its own, and with variables that only ansible-runner knows."""
    import subprocess

    shared.playbook(PLAY + "    - ansible.builtin.pause: {prompt: Word, seconds: 1}\n    - ansible.builtin.debug: {msg: hello}\n")
    script = (
        "import ansible_runner, sys\n"
        "r = ansible_runner.run(private_data_dir=sys.argv[1], playbook=sys.argv[2], inventory='localhost ansible_connection=local',"
        " quiet=True)\n"
        "print(r.status, r.rc, [e['event'] for e in r.events], open(r.config.artifact_dir + '/stdout').read())\n"
    )
    seen = []
    for path in (ORDINARY.parent, shared.command.parent):
        data = shared.folder / f"data-{path.name}-{len(seen)}"
        (data / "project").mkdir(parents=True)
        env = {**shared.env, "PATH": f"{path}:{os.environ['PATH']}"}
        argv = [sys.executable, "-c", script, str(data), str(shared.folder / "playbook.yml")]
        done = subprocess.run(argv, env=env, cwd=shared.folder, capture_output=True, text=True, check=True, timeout=60)
        seen.append(done.stdout)
    assert FALLBACK not in seen[1]
    assert seen[0].startswith("successful 0")
    assert seen[1] == seen[0]


def test_twenty_at_once(shared: Runner) -> None:
    name = shared.playbook(PLAY + '    - ansible.builtin.debug: {msg: "number {{ number }}"}\n')
    started = [shared.start(shared.command, name, "-e", f"number={number}") for number in range(20)]
    for number, process in enumerate(started):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0
        assert f'number {number}"' in out
        assert FALLBACK not in err


def test_the_time_to_the_first_task(shared: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not judged: the machine's load decides."""
    name = shared.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    figures: dict[Path, list[float]] = {ORDINARY: [], shared.command: []}
    for _ in range(5):
        for command, seconds in figures.items():
            began = time.monotonic()
            process = shared.start(command, name)
            assert process.stdout is not None
            assert any("TASK" in line for line in process.stdout)
            seconds.append(time.monotonic() - began)
            process.communicate()
    ordinary, warm = (statistics.median(seconds) * 1000 for seconds in figures.values())
    with capsys.disabled():
        print(f"\nfirst task: {ordinary:.0f} ms by the ordinary command, {warm:.0f} ms by the warm runner (medians of 5)")
