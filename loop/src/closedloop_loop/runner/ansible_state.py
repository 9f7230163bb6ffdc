"""Ansible inside a warm process: import it once, and make what it read at its import right for each playbook.

This file and collection.py import Ansible: at run time, in template processes and what they fork, never in the loop itself.
What Ansible keeps from its import (2.19): its settings (`ansible.constants`), the configuration file behind them, a temporary folder, the
random part of unique identifiers, whether to colour, the width of the screen. Settings that differ from those of the ordinary command
are not patched, since other modules may have copied them: the playbook is refused and the ordinary command runs it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

from closedloop_loop.runner.collection import Collection

PRELOADED: Final = (
    "ansible.cli.playbook",
    "ansible.executor.module_common",
    "ansible.executor.playbook_executor",
    "ansible.executor.process.worker",
    "ansible.executor.task_queue_manager",
    "ansible.inventory.manager",
    "ansible.parsing.dataloader",
    "ansible.playbook",
    "ansible.plugins.action.command",
    "ansible.plugins.action.debug",
    "ansible.plugins.action.normal",
    "ansible.plugins.action.set_fact",
    "ansible.plugins.cache.memory",
    "ansible.plugins.callback.default",
    "ansible.plugins.connection.local",
    "ansible.plugins.filter.core",
    "ansible.plugins.filter.mathstuff",
    "ansible.plugins.filter.urls",
    "ansible.plugins.filter.urlsplit",
    "ansible.plugins.inventory.host_list",
    "ansible.plugins.inventory.ini",
    "ansible.plugins.inventory.yaml",
    "ansible.plugins.shell.sh",
    "ansible.plugins.strategy.linear",
    "ansible.plugins.test.core",
    "ansible.plugins.test.files",
    "ansible.plugins.test.mathstuff",
    "ansible.plugins.test.uri",
    "ansible.plugins.vars.host_group_vars",
    "ansible.template",
    "ansible.vars.manager",
    "closedloop_loop.operations.actor",
)
OWN_FOLDER: Final = "DEFAULT_LOCAL_TMP"
READ_LATE: Final = frozenset({OWN_FOLDER, "CACHE_PLUGIN_CONNECTION"})
"""Settings that no module copies at import; each playbook gets its own."""


class Different(Exception):
    """The ordinary command would run under other conditions than this process; the text says which."""


class Warm:
    """An imported Ansible."""

    def __init__(self, collection: Path | None = None) -> None:
        """collection: folder of one whose playbooks are expected."""
        self.release = Path(str(importlib.import_module("ansible.release").__file__))
        self.installed = self._installation()
        for name in PRELOADED:
            importlib.import_module(name)
        self._constants = importlib.import_module("ansible.constants")
        self._manager: Any = importlib.import_module("ansible.config.manager")
        # the definitions once more, as they are before a manager works on them: a child has no time to parse them
        self._definitions = self._constants.config._read_config_yaml_file(str(Path(str(self._manager.__file__)).with_name("base.yml")))
        self._know_routing()
        if collection is not None:
            Collection(collection).load()
        gc.collect()
        gc.freeze()  # the collector of a child leaves these pages shared

    def _know_routing(self) -> None:
        """Where names of ansible.builtin lead: a large file that each playbook parses when it meets the first full name."""
        finder: Any = importlib.import_module("ansible.utils.collection_loader._collection_finder")
        parse = finder._meta_yml_to_dict
        text = Path(str(self._manager.__file__)).with_name("ansible_builtin_runtime.yml").read_bytes()
        routing = parse(text, ("ansible.builtin", "runtime.yml"))
        finder._meta_yml_to_dict = lambda other, content: routing if other == text else parse(other, content)

    def _installation(self) -> tuple[int, int]:
        status = self.release.stat()
        return status.st_ino, status.st_mtime_ns

    def renew(self) -> None:
        """In a child, under the variables and in the folder of the request: make it as after an import now. Raises Different."""
        try:
            if self._installation() != self.installed:
                raise Different("another version of Ansible has been installed")
        except OSError as error:
            raise Different("Ansible has been removed") from error
        time.tzset()
        atexit.unregister(self._manager.cleanup_tmp_file)  # the template's folder is the template's to remove
        self._settings()
        vars(importlib.import_module("ansible.utils.vars"))["random_int"] = f"{random.SystemRandom().randrange(1 << 32):08x}"
        self._screen()

    def _settings(self) -> None:
        definitions = self._definitions

        class Manager(self._manager.ConfigManager):  # type: ignore[misc,name-defined]  # Ansible has no type information
            """Reads the configuration now, with definitions that have been parsed before."""

            def _read_config_yaml_file(self, yml_file: str) -> Any:
                return definitions

        self._manager.ConfigManager.WARNINGS.clear()
        old, manager, constants = self._constants.config, Manager(), dict(vars(self._constants))
        names = [name for name in manager.get_configuration_definitions() if name != OWN_FOLDER]
        for name in names:
            constants[name] = manager.get_config_value(name, variables=constants)
        found = [name for name in names if name not in READ_LATE and constants[name] != getattr(self._constants, name)]
        if found:
            raise Different(f"settings {', '.join(sorted(found)[:5])} differ from those this process began with")
        if manager.WARNINGS or manager._errors or old._errors:
            raise Different("the configuration gives cause for warnings, which Ansible prints when it starts")
        if constants["DEFAULT_LOG_PATH"]:
            raise Different("a log file is set (log_path), which Ansible opens when it starts")
        for name in READ_LATE - {OWN_FOLDER}:
            setattr(self._constants, name, constants[name])
        setattr(self._constants, OWN_FOLDER, manager.get_config_value(OWN_FOLDER, variables=constants))
        # sections of plug-ins are read from these when a plug-in loads
        old._config_file, old._parsers = manager._config_file, manager._parsers
        old._get_ini_config_value.cache_clear()

    def _screen(self) -> None:
        """Standard streams, colour and width for the descriptors 0, 1 and 2 of now."""
        unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
        for number, name, mode in ((0, "stdin", "rb"), (1, "stdout", "wb"), (2, "stderr", "wb")):
            before, octets = getattr(sys, name), os.fdopen(number, mode)
            stream = io.TextIOWrapper(
                octets,
                encoding=before.encoding,
                errors=before.errors,
                line_buffering=number == 2 or os.isatty(number),
                write_through=unbuffered and number > 0,
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        # functions that others have imported from there look into the same module, so they follow
        importlib.reload(importlib.import_module("ansible.utils.color"))
        importlib.import_module("ansible.utils.display").Display()._set_column_width()

    def playbook(self, argv: list[str]) -> None:
        """Run `ansible-playbook` with this command line, its own path first; ends in SystemExit as the command does."""
        sys.argv = argv
        importlib.import_module("ansible.cli.playbook").main(argv)
