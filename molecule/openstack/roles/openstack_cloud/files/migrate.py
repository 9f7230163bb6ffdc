"""Make the tables of all services, beside each other; within a service in order.

migrate.py DIRECTORY-OF-PROGRAMS DIRECTORY-OF-CONFIGURATION CELL0-DATABASE
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def main(programs: str, configuration: str, cell0: str) -> None:
    keystone = ["keystone-manage", "--config-file", f"{configuration}/keystone.conf"]
    nova = ["nova-manage", "--config-file", f"{configuration}/nova.conf"]
    root = ["--keystone-user", "root", "--keystone-group", "root"]
    services = [
        [
            [*nova, "api_db", "sync"],
            [*nova, "cell_v2", "map_cell0", "--database_connection", cell0],
            [*nova, "db", "sync"],
            [*nova, "cell_v2", "create_cell", "--name=cell1"],
        ],
        [["neutron-db-manage", "--config-file", f"{configuration}/neutron.conf", "upgrade", "heads"]],
        [[*keystone, "fernet_setup", *root], [*keystone, "credential_setup", *root], [*keystone, "db_sync"]],
        [["glance-manage", "--config-file", f"{configuration}/glance-api.conf", "db_sync"]],
        [["placement-manage", "--config-file", f"{configuration}/placement.conf", "db", "sync"]],
    ]

    def run(commands: list[list[str]]) -> None:
        for command in commands:
            done = subprocess.run([f"{programs}/{command[0]}", *command[1:]], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, services))


if __name__ == "__main__":
    main(*sys.argv[1:])
