# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel's source tree: unpacked, configured, and held to its configuration, compiled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_symbols
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_symbols import Symbol
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

_MERGE = "scripts/kconfig/merge_config.sh"
KINDS = ("packages", "user_mode_linux")
_PROGRESS = re.compile(r"\s+[A-Z][A-Z0-9_-]*\s+(\[M\]\s+)?\S+")
_ERROR = re.compile(r"\b[Ee]rror\b|\*\*\*|No such|No space|not found")

# What User Mode Linux, which has no hardware, is not made of.
_HARDWARE = (
    *("Documentation/*/*", "tools/testing/*", "arch/[!ux]*/*.[chS]", "*.dts", "*.dtsi"),
    *(f"{folder}/*.[ch]" for folder in ("sound", "drivers/gpu", "drivers/net/ethernet", "drivers/net/wireless", "drivers/media")),
    *(f"{folder}/*.[ch]" for folder in ("drivers/infiniband", "drivers/scsi", "drivers/staging")),
)


@dataclass(frozen=True)
class Inputs:
    """`options` have their values as a configuration has them. An empty `base_config` is one in which everything is off."""

    source: Path
    base_config: str
    symbols: tuple[Symbol, ...]
    options: Mapping[str, str]
    kind: str

    def fragment(self, release: str = "") -> dict[str, str]:
        """What is set beyond the base: the symbols that it lacks, and the options. Without a release, of any."""
        base = kernel_symbols.parse(self.base_config)
        needed = [symbol.name for symbol in self.symbols if not release or symbol.needed(release)]
        return {name: "y" for name in needed if base.get(name) not in ("y", "m")} | dict(self.options)


@dataclass(frozen=True)
class Tree:
    """`log` gets what the tools say. Every error is a MobilityError that tells what can be done."""

    root: Path
    log: Path
    environment: Mapping[str, str]

    def unpack(self, inputs: Inputs) -> None:
        self.root.mkdir()
        unneeded = _HARDWARE if inputs.kind == "user_mode_linux" else ()
        self._run(
            f"unpacking {inputs.source}",
            [
                "tar",
                "-x",
                "-f",
                str(inputs.source),
                "-C",
                str(self.root),
                "--strip-components=1",
                *(f"--exclude=*/{name}" for name in unneeded),
            ],
        )
        if not (self.root / _MERGE).is_file():
            raise MobilityError(f"source: {inputs.source} is not an archive of a kernel's source: there is no {_MERGE} in it")

    def release(self) -> str:
        """As `uname -r` will say."""
        return (self.root / "include/config/kernel.release").read_text(encoding="ascii").strip()

    def configure(self, inputs: Inputs, *, local_version: str) -> None:
        """Set what is wanted, and fail by name where the source did not take it: kconfig leaves that out without a word."""
        version = self._version()
        wanted = {"LOCALVERSION": f'"{local_version}"', "LOCALVERSION_AUTO": "n"} | inputs.fragment(version)
        fragment = self.root / "closedloop.config"
        fragment.write_text("".join(_line(name, value) for name, value in wanted.items()), encoding="utf-8")
        merge = ["sh", _MERGE]
        arch = self._arch(inputs)
        if inputs.base_config:
            base = self.root / "closedloop.base"
            base.write_text(inputs.base_config, encoding="utf-8")
            self._run("merging configurations", [*merge, "-m", base.name, fragment.name], arch)
            self._run("completing the configuration", ["make", "olddefconfig"], arch)
        else:
            self._run("making the configuration", [*merge, "-n", fragment.name], arch)
        config = kernel_symbols.read(self.root / ".config")
        lost = kernel_symbols.missing(config, inputs.symbols, version)
        lost += [name for name, value in wanted.items() if name not in lost and not _kept(config.get(name), value)]
        if lost:
            raise MobilityError(
                f"the configuration of kernel {version} lost what was asked of it: "
                + "; ".join(f"{name}{self._depends(name)}" for name in lost)
                + ". Switch on what these depend on (options), or correct the name"
            )

    def compile(self, inputs: Inputs, result: Path) -> list[str]:
        """Names of the files that are now in `result`."""
        make = ["make", f"-j{os.cpu_count() or 1}", *(["CC=ccache gcc"] if shutil.which("ccache") else [])]
        if inputs.kind == "user_mode_linux":
            self._run("compiling", [*make, "linux"], self._arch(inputs))
            self._run("stripping", ["strip", "linux"])
            (self.root / "linux").rename(result / "linux")
            return ["linux"]
        self._run("compiling and packing", [*make, "KDEB_PKGVERSION=1", "bindeb-pkg"])
        images = [file for file in sorted(self.root.parent.glob("linux-image-*.deb")) if "-dbg_" not in file.name]
        if not images:
            raise MobilityError(f"`make bindeb-pkg` made no package linux-image-*; its log is {self.log}")
        for file in images:
            file.rename(result / file.name)
        return [file.name for file in images]

    def _arch(self, inputs: Inputs) -> Mapping[str, str]:
        return {"ARCH": "um"} if inputs.kind == "user_mode_linux" else {}

    def _depends(self, name: str) -> str:
        """Where the source says on what a symbol depends."""
        for file in sorted(self.root.rglob("Kconfig*")):
            found = re.search(
                rf"^(?:menu)?config {name}\n((?:[ \t].*\n|\n)*)", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
            )
            if found:
                depends = re.findall(r"^\s+depends on (.*)$", found[1], re.MULTILINE)
                return (
                    f" (depends on {' and '.join(depends)}; {file.relative_to(self.root)})"
                    if depends
                    else f" ({file.relative_to(self.root)})"
                )
        return " (this source does not know it)"

    def _version(self) -> str:
        """Of the source, from the head of its Makefile."""
        numbers = dict(re.findall(r"^(VERSION|PATCHLEVEL) = (\d+)$", (self.root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        return f"{numbers['VERSION']}.{numbers['PATCHLEVEL']}"

    def _run(self, what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with self.log.open("ab") as log:
            log.write(f"\n== {what}: {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command,
                cwd=self.root,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            said = self.log.read_text(encoding="utf-8", errors="replace")
            # A tool that cannot write cannot say so either: its log is on the same disk.
            full = "No space left on device" in said or shutil.disk_usage(self.log.parent).free < 1 << 20
            remedy = "make room on that disk" if full else f"the whole log is {self.log}"
            raise MobilityError(f"{what} in {self.root} failed; {remedy}:\n" + "\n".join(cause(said)))


def cause(said: str) -> list[str]:
    """Of what the last command said the first error, with what stands before it: make tells the cause first, and then who gave up."""
    lines = [line for line in said.rpartition("\n== ")[2].splitlines()[1:] if not _PROGRESS.fullmatch(line)]
    errors = [number for number, line in enumerate(lines) if _ERROR.search(line)]
    begin = max(0, errors[0] - 2) if errors else -8
    return lines[begin:][:8]


def _line(name: str, value: str) -> str:
    return f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"


def _kept(found: str | None, value: str) -> bool:
    return found == value or (value in ("n", '""') and found in (None, "n", '""')) or (value == "m" and found == "y")
