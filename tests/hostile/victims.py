"""The positive control: what evaluates text as each family of attacks hopes for. `python -m tests.hostile.victims FAMILY` < JSON list."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import yaml


def jinja(texts: list[str]) -> None:
    """As Ansible's templates, and as Jinja without Ansible's sandbox."""
    import jinja2
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader()
    templar, bare = Templar(loader=DataLoader()), jinja2.Environment()
    for text in texts:
        with suppress(Exception):
            templar.template(trust_as_template(text))
        with suppress(Exception):
            bare.from_string(text).render()


def shell(texts: list[str]) -> None:
    for text in texts:
        with suppress(ValueError):
            subprocess.run(["bash", "-c", f"echo {text}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)


def unsafe_yaml(texts: list[str]) -> None:
    for text in texts:
        with suppress(Exception):
            yaml.unsafe_load(text)


def python(texts: list[str]) -> None:
    for text in texts:
        with suppress(Exception):
            eval(text)


def path(texts: list[str]) -> None:
    for text in texts:
        with suppress(Exception), open(f"/tmp/{text}" if text.startswith(".") else text, "a"):  # noqa: PTH123 - as the careless do
            pass


def url(texts: list[str]) -> None:
    import urllib.request

    for text in texts:
        with suppress(Exception):
            urllib.request.urlopen(text, timeout=2)


VICTIMS: dict[str, Callable[[list[str]], Any]] = {
    "jinja": jinja, "shell": shell, "yaml": unsafe_yaml, "python": python, "path": path, "foreign": url,
}  # fmt: skip
"""By family."""

if __name__ == "__main__":
    VICTIMS[sys.argv[1]](json.load(sys.stdin))
