"""A collection whose playbooks are expected: its plug-ins are loaded and its YAML files are parsed before a playbook begins.

Used by `ansible_state.py` in template processes. Plug-ins that cannot be loaded here are left to the playbook, which then says why.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

PLUGINS: Final = ("action", "connection", "filter", "lookup", "test")
"""Kinds of plug-ins that tasks use. Each is a folder below `plugins/`, and has a loader of its own in Ansible."""
PARSED: Final = ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml", "roles/*/meta/*.yml", "roles/*/defaults/*.yml", "roles/*/vars/*.yml")
PACKAGES: Final = "ansible_collections"


def marks(root: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Which Python files the collection has, and when each was changed: a process that has loaded others does not stand for it."""
    if root is None:
        return ()
    return tuple(sorted(_files(str(root / "plugins"))))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # what is removed meanwhile is not there
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size


class Collection:
    """`root` ends in NAMESPACE/NAME and is where Ansible finds that collection."""

    def __init__(self, root: Path) -> None:
        self.name = f"{root.parent.name}.{root.name}"
        self._root = root
        self._loaders: Any = importlib.import_module("ansible.plugins.loader")
        self._finders: Any = importlib.import_module("ansible.utils.collection_loader._collection_finder")

    def load(self) -> None:
        """Once, in the template."""
        finder = self._finders._AnsibleCollectionFinder
        self._mind_adjacent(finder)
        self._loaders.init_plugin_loader()
        try:
            if self._found():
                for kind in PLUGINS:
                    self._load_plugins(kind)
                self._parse()
        finally:
            # each playbook begins with a finder of its own
            finder._remove()

    def _mind_adjacent(self, finder: Any) -> None:
        """Beside a playbook that is not a collection's may be collections that go before this one: it gets nothing of what is loaded."""
        set_paths = finder.set_playbook_paths

        def forget_and_set(self: Any, playbook_paths: Any) -> None:
            for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGES]:
                del sys.modules[name]
            set_paths(self, playbook_paths)

        finder.set_playbook_paths = forget_and_set

    def _found(self) -> bool:
        """Does Ansible find the collection there, and not another of that name before?"""
        try:
            package = importlib.import_module(f"{PACKAGES}.{self.name}")
        except ImportError:
            return False
        return any(Path(path).resolve() == self._root.resolve() for path in package.__path__)

    def _load_plugins(self, kind: str) -> None:
        loader = getattr(self._loaders, f"{kind}_loader")
        for file in sorted((self._root / "plugins" / kind).glob("[!_]*.py")):
            with contextlib.suppress(Exception):
                loader.get(f"{self.name}.{file.stem}", class_only=True)

    def _parse(self) -> None:
        """What a data loader makes of a text and the name of its file is made once; data loaders copy what they hand out."""
        data: Any = importlib.import_module("ansible.parsing.dataloader")
        tags: Any = importlib.import_module("ansible._internal._datatag._tags")
        parse = data.from_yaml
        known: dict[tuple[str, str | None, bool], Any] = {}

        def key(text: str, name: str | None) -> tuple[str, str | None, bool]:
            return str(text), name, tags.TrustedAsTemplate.is_tagged_on(text)

        def remembered(data: str, file_name: str | None = None, **rest: Any) -> Any:
            found = known.get(key(data, file_name)) if rest == {"json_only": False} else None
            return parse(data=data, file_name=file_name, **rest) if found is None else found

        loader = data.DataLoader()
        for pattern in PARSED:
            for file in self._root.glob(pattern):
                with contextlib.suppress(Exception):
                    text = tags.TrustedAsTemplate().tag(loader.get_text_file_contents(str(file)))
                    known[key(text, str(file))] = parse(data=text, file_name=str(file), json_only=False)
        data.from_yaml = remembered
