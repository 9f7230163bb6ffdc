"""Images of a few files: what engines read, and the same for the same files."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import scratch_image
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "hello").write_text("hello")
    (tmp_path / "hello").chmod(0o755)
    return {
        "name": "localhost/test/hello:v1",
        "files": [{"src": str(tmp_path / "hello"), "dest": "/usr/local/bin/hello"}],
        "entrypoint": ["/usr/local/bin/hello"],
        "cache_directory": str(tmp_path / "cache"),
    }


def write(params: dict[str, Any]) -> Path:
    return Path(scratch_image.run(params, check_mode=False).values["file"])


def test_an_archive_holds_the_manifest_the_configuration_and_the_layer(params: dict[str, Any]) -> None:
    with tarfile.open(write(params)) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config_bytes = archive.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        layer_bytes = archive.extractfile(manifest["Layers"][0]).read()  # type: ignore[union-attr]
        with tarfile.open(fileobj=archive.extractfile(manifest["Layers"][0])) as layer:
            files = {member.name: (member.mode, member.isdir()) for member in layer}
    config = json.loads(config_bytes)
    assert manifest["RepoTags"] == ["localhost/test/hello:v1"]
    assert manifest["Config"] == f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer_bytes).hexdigest()}"]
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/hello"]
    assert files["usr/local/bin/hello"] == (0o755, False)
    assert files["tmp"] == (0o1777, True)
    assert files["usr/local"] == (0o755, True)


def test_the_same_files_give_the_same_image_wherever_they_lie(params: dict[str, Any], tmp_path: Path) -> None:
    first = write(params)
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(tmp_path / "hello", elsewhere)
    again = params | {"files": [params["files"][0] | {"src": str(elsewhere)}], "cache_directory": str(tmp_path / "other")}
    assert write(again).read_bytes() == first.read_bytes()


def test_a_second_time_changes_nothing_and_another_file_gives_another_image(params: dict[str, Any], tmp_path: Path) -> None:
    first = scratch_image.run(params, check_mode=False)
    assert first.changed
    assert not scratch_image.run(params, check_mode=False).changed
    (tmp_path / "hello").write_text("another")
    assert scratch_image.run(params, check_mode=False).values["file"] != first.values["file"]


def test_a_dynamic_program_brings_its_libraries(params: dict[str, Any]) -> None:
    shell = str(Path("/bin/sh").resolve())
    archived = write(params | {"files": [{"src": shell, "dest": "/bin/sh"}]})
    with tarfile.open(archived) as archive, tarfile.open(fileobj=archive.extractfile("layer.tar")) as layer:
        names = layer.getnames()
    assert [name for name in names if "libc.so" in name]


def test_check_mode_writes_nothing_even_when_a_program_is_not_built_yet(params: dict[str, Any]) -> None:
    absent = params | {"files": [*params["files"], {"src": "/nowhere/program", "dest": "/program"}]}
    assert scratch_image.run(absent, check_mode=True).changed
    assert not Path(params["cache_directory"]).exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Hello"}, "an image is named repository:tag"),
        ({"files": [{"src": "/nowhere/program", "dest": "/program"}]}, "src /nowhere/program cannot be read: No such file"),
        ({"files": [{"src": "/bin/sh", "dest": "../program"}]}, "dest '../program' is not an absolute path"),
        ({"files": [{"src": "/bin/sh", "dest": "/a/../program"}]}, "is not an absolute path"),
    ],
)
def test_what_is_wrong_is_told(params: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(MobilityError, match=said):
        scratch_image.run(params | change, check_mode=False)
    assert not Path(params["cache_directory"], "images").exists()
