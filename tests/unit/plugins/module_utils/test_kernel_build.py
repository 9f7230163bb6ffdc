"""What of a kernel's build is decided before anything is compiled."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_build
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_symbols import Symbol
from ansible_collections.closedloop.mobility.plugins.module_utils.kernel_tree import Inputs, cause
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

SYMBOLS = [{"name": "IPV6_MIP6"}, {"name": "XFRM_USER"}, {"name": "INET6_XFRM_MODE_TUNNEL", "dropped_in": "5.2", "because": "folded"}]


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    """An archive that is none of a kernel's source."""
    (tmp_path / "hello").write_text("hello")
    with tarfile.open(tmp_path / "hello.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "hello", "top/hello")
    return {
        "source": str(tmp_path / "hello.tar.xz"),
        "sha256": None,
        "base_config": "",
        "symbols": SYMBOLS,
        "options": {"EXPERT": "y"},
        "kind": "packages",
        "cache_directory": str(tmp_path / "cache"),
        "space_mib": 0,
    }


def directory(params: dict[str, Any]) -> str:
    return str(kernel_build.run(params, check_mode=True).values["directory"])


def test_a_wrong_sum_is_refused_with_both_sums(params: dict[str, Any]) -> None:
    found = hashlib.sha256(Path(params["source"]).read_bytes()).hexdigest()
    with pytest.raises(MobilityError, match=f"sha256: .*hello.tar.xz has the sum {found}, not {'0' * 64}"):
        kernel_build.run(params | {"sha256": "0" * 64}, check_mode=False)
    assert not Path(params["cache_directory"]).exists()


def test_a_missing_archive_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(MobilityError, match=r"source: /none\.tar\.xz cannot be read: No such file"):
        kernel_build.run(params | {"source": "/none.tar.xz"}, check_mode=False)


def test_an_archive_of_something_else_is_refused_and_leaves_its_log_only(params: dict[str, Any]) -> None:
    with pytest.raises(MobilityError, match=r"hello\.tar\.xz is not an archive of a kernel's source"):
        kernel_build.run(params, check_mode=False)
    root = Path(params["cache_directory"]) / "kernel"
    assert {file.name.split("-")[0] for file in root.iterdir()} == {"lock", "failed"}


def test_what_an_earlier_build_said_is_not_told_of_this_one(params: dict[str, Any]) -> None:
    with pytest.raises(MobilityError) as first:
        kernel_build.run(params, check_mode=False)
    (log,) = Path(params["cache_directory"], "kernel").glob("failed-*.log")
    log.write_text("No space left on device\n", encoding="utf-8")
    with pytest.raises(MobilityError) as second:
        kernel_build.run(params, check_mode=False)
    assert str(second.value) == str(first.value)
    assert "No space" not in log.read_text(encoding="utf-8")


def test_too_little_space_is_told_before_anything_is_unpacked(params: dict[str, Any]) -> None:
    with pytest.raises(MobilityError, match=r"MiB free, a build needs 1000000000 \(space_mib\)"):
        kernel_build.run(params | {"space_mib": 1000000000}, check_mode=False)


@pytest.mark.parametrize(
    "other",
    [
        {"base_config": "CONFIG_XFRM_USER=m\n"},
        {"symbols": SYMBOLS[1:]},
        {"options": {"EXPERT": "n"}},
        {"kind": "user_mode_linux"},
    ],
)
def test_each_input_makes_another_kernel(params: dict[str, Any], other: dict[str, Any]) -> None:
    assert directory(params | other) != directory(params)


def test_the_source_counts_by_its_content(params: dict[str, Any], tmp_path: Path) -> None:
    copy = tmp_path / "copy.tar.xz"
    shutil.copy(params["source"], copy)
    assert directory(params | {"source": str(copy)}) == directory(params)
    with copy.open("ab") as file:
        file.write(b"\0")
    assert directory(params | {"source": str(copy)}) != directory(params)


def test_what_is_in_the_cache_is_not_built_again(params: dict[str, Any]) -> None:
    place = Path(directory(params))
    place.mkdir(parents=True)
    (place / "built.json").write_text(json.dumps({"files": [str(place / "linux")], "release": "6.1-mipv6-x", "build_s": 1}))
    outcome = kernel_build.run(params, check_mode=False)
    assert not outcome.changed
    assert outcome.values["files"] == [str(place / "linux")]


def test_check_mode_builds_nothing_and_tells_that_it_would(params: dict[str, Any]) -> None:
    outcome = kernel_build.run(params, check_mode=True)
    assert outcome.changed
    assert outcome.values["files"] == []
    assert not Path(params["cache_directory"]).exists()


@pytest.mark.parametrize("options", [{"expert": "y"}, {"EXPERT": 'y"\nCONFIG_X=y'}])
def test_an_option_that_is_none_is_refused(params: dict[str, Any], options: dict[str, str]) -> None:
    with pytest.raises(MobilityError, match="options: "):
        kernel_build.run(params | {"options": options}, check_mode=True)


def test_the_base_keeps_its_modules_and_gets_what_its_release_needs() -> None:
    wanted = tuple(Symbol(entry["name"], entry.get("dropped_in", "")) for entry in SYMBOLS)
    inputs = Inputs(Path("x"), "CONFIG_XFRM_USER=m\n", wanted, {"EXPERT": "y"}, "packages")
    assert inputs.fragment("6.1") == {"IPV6_MIP6": "y", "EXPERT": "y"}
    assert inputs.fragment("4.14") == {"IPV6_MIP6": "y", "EXPERT": "y", "INET6_XFRM_MODE_TUNNEL": "y"}


def test_the_cause_of_a_failed_build_is_told_and_not_only_who_gave_up() -> None:
    said = """
== completing the configuration: make olddefconfig
.config:7: error of an earlier step

== compiling and packing: make -j2 bindeb-pkg
  CC      tools/objtool/str_error_r.o
  CC      init/main.o
  usr/gen_initramfs.sh: Cannot open '/none'
make[5]: *** [usr/Makefile:75: usr/initramfs_data.cpio] Error 1
make[4]: *** [scripts/Makefile.build:508: usr] Error 2
  CC [M]  arch/x86/kernel/ptrace.o
make: *** [Makefile:1711: bindeb-pkg] Error 2
"""
    assert cause(said) == [
        "  usr/gen_initramfs.sh: Cannot open '/none'",
        "make[5]: *** [usr/Makefile:75: usr/initramfs_data.cpio] Error 1",
        "make[4]: *** [scripts/Makefile.build:508: usr] Error 2",
        "make: *** [Makefile:1711: bindeb-pkg] Error 2",
    ]


def test_a_tool_that_failed_without_an_error_is_told_by_its_last_words() -> None:
    assert cause("\n== unpacking x: tar -x\n" + "".join(f"line {number}\n" for number in range(20))) == [f"line {n}" for n in range(12, 20)]
