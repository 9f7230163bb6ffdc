"""Conditions under which no warm process began: the ordinary command runs, and the next playbook of that kind is warm."""

from __future__ import annotations

from pathlib import Path

from tests.daemons.runner.both import FALLBACK, ORDINARY, PLAY, Runner


def test_another_configuration_is_never_run_by_a_process_that_began_with_a_different_one(runner: Runner) -> None:
    name = runner.playbook(PLAY + "    - ansible.builtin.command: 'true'\n")
    (runner.folder / "ansible.cfg").write_text("[defaults]\ndisplay_ok_hosts = false\ncallback_result_format = yaml\n")
    ordinary = runner.run(ORDINARY, name)
    code, out, err = runner.run(runner.command, name)
    assert (code, out) == ordinary[:2]
    assert FALLBACK in err
    runner.wait_warm(3)  # it has learnt
    runner.both(name)


def test_a_setting_in_the_environment_falls_back_once_and_is_warm_after(runner: Runner) -> None:
    name = runner.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    runner.env["ANSIBLE_FORCE_COLOR"] = "1"
    code, out, err = runner.run(runner.command, name)
    assert code == 0
    assert "\x1b[" in out
    assert FALLBACK in err
    runner.wait_warm(3)
    runner.both(name)


def test_a_relative_path_in_the_environment_counts_from_the_folder_of_the_request(runner: Runner, tmp_path: Path) -> None:
    name = runner.playbook(PLAY + "    - ansible.builtin.debug: {msg: hello}\n")
    runner.env["ANSIBLE_ROLES_PATH"] = "roles"
    runner.run(runner.command, name)
    runner.wait_warm(3)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / name).write_text((runner.folder / name).read_text())
    runner.both(name)
    code, _, err = runner.run(runner.command, name, cwd=elsewhere)
    assert code == 0
    assert "DEFAULT_ROLES_PATH" in err
