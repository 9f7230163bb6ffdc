"""Print what is in a project, as JSON. The places of servers are asked for as an administrator, who alone sees them.

look.py CLOUD CLOUD-OF-AN-ADMINISTRATOR
"""

import json
import sys

import openstack


def main(member: str, administrator: str) -> None:
    project = openstack.connect(cloud=member)
    network, identity = project.network, {"project_id": project.current_project_id}
    seen = {
        "servers": openstack.connect(cloud=administrator).compute.servers(all_projects=True, **identity),
        "networks": network.networks(),
        "subnets": network.subnets(),
        "ports": network.ports(**identity),
        "security_groups": network.security_groups(**identity),
        "routers": network.routers(**identity),
        "floating_ips": network.ips(**identity),
        "keypairs": project.compute.keypairs(),
        "server_groups": project.compute.server_groups(),
    }
    print(json.dumps({name: [item.to_dict(computed=False) for item in items] for name, items in seen.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
