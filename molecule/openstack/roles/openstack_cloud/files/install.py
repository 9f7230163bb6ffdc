"""Install the services into a virtual environment, with the mechanism driver of this folder. One that was killed is begun anew.

install.py ENVIRONMENT FOLDER-OF-REQUIREMENTS
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

UV = Path(__file__).resolve().parents[5] / ".tools/bin/uv"
METADATA = "Metadata-Version: 2.1\nName: any-host\nVersion: 1.0\n"
ENTRY = "[neutron.ml2.mechanism_drivers]\nany_host = any_host:AnyHost\n"


def main(environment: Path, folder: Path) -> None:
    with environment.with_suffix(".lock").open("w") as lock:  # of two checkouts one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (environment / "complete").exists():
            return
        shutil.rmtree(environment, ignore_errors=True)  # of one that was killed
        settings = os.environ | {"UV_SYSTEM_CERTS": "true", "UV_CACHE_DIR": str(environment.parent / "uv")}
        settings.pop("VIRTUAL_ENV", None)
        for arguments in (
            ["venv", "--quiet", "--python", "/usr/bin/python3", str(environment)],
            [
                "pip",
                "sync",
                "--quiet",
                "--compile-bytecode",
                "--require-hashes",
                "--python",
                f"{environment}/bin/python",
                "requirements.txt",
            ],
        ):
            subprocess.run([str(UV), *arguments], check=True, cwd=folder, env=settings)
        packages = next(environment.glob("lib/python3.*/site-packages"))
        shutil.copy(folder / "any_host.py", packages)
        information = packages / "any_host-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(METADATA)
        (information / "entry_points.txt").write_text(ENTRY)
        shutil.rmtree(environment.parent / "uv")
        (environment / "complete").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
