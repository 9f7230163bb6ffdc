"""A collection that is loaded beforehand: its playbooks run as by the ordinary command, also when it has changed or another one counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.runner.both import FALLBACK, ORDINARY, Runner

PLUGIN = "class FilterModule:\n    def filters(self):\n        return {'told': lambda text: 'TEXT ' + text}\n"
BOOK = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.import_role: {name: demo.tools.teller}\n"
TASKS = "- ansible.builtin.debug:\n    msg: \"{{ 'it' | demo.tools.told }}\"\n"
BY_NAME = "demo.tools.tell"


def write_collection(root: Path, word: str) -> Path:
    """Playbook, role and filter of a collection demo.tools below `root`, whose filter says `word`."""
    folder = root / "ansible_collections/demo/tools"
    for name, text in (
        ("plugins/filter/told.py", PLUGIN.replace("TEXT", word)),
        ("playbooks/tell.yml", BOOK),
        ("roles/teller/tasks/main.yml", TASKS),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[tuple[Runner, Path]]:
    """A runner that has loaded the collection, and the collection's folder."""
    folder = write_collection(tmp_path / "collections", "first")
    runner = Runner(tmp_path, "--collection", str(folder))
    runner.env["ANSIBLE_COLLECTIONS_PATH"] = str(tmp_path / "collections")
    with runner:
        runner.wait_warm(2)
        yield runner, folder


def test_a_playbook_of_it_runs_as_by_the_ordinary_command(loaded: tuple[Runner, Path]) -> None:
    runner, _ = loaded
    _code, out, err = runner.run(runner.command, BY_NAME)
    assert "first it" in out
    assert FALLBACK not in err
    runner.both(BY_NAME)


def test_what_has_changed_since_is_what_runs(loaded: tuple[Runner, Path]) -> None:
    runner, folder = loaded
    (folder / "roles/teller/tasks/main.yml").write_text(TASKS.replace("'it'", "'another'"))
    assert "first another" in runner.run(runner.command, BY_NAME)[1]
    (folder / "plugins/filter/told.py").write_text(PLUGIN.replace("TEXT", "second"))
    _code, out, err = runner.run(runner.command, BY_NAME)
    assert "second another" in out
    assert FALLBACK in err
    runner.wait_warm(3)
    _code, out, err = runner.run(runner.command, BY_NAME)
    assert "second another" in out
    assert FALLBACK not in err


def test_a_collection_beside_the_playbook_goes_before_it(loaded: tuple[Runner, Path], tmp_path: Path) -> None:
    runner, _ = loaded
    write_collection(tmp_path / "project/collections", "adjacent")
    (tmp_path / "project/play.yml").write_text(BOOK)
    assert "adjacent it" in runner.run(ORDINARY, "project/play.yml")[1]
    _code, out, err = runner.run(runner.command, "project/play.yml")
    assert "adjacent it" in out
    assert FALLBACK not in err
