"""The catalogue of the test cloud: a user of the services, their endpoints, and a project whose user is a member, no administrator.

catalogue.py CLOUD ADDRESS    (their password is in the environment, OPENSTACK_CLOUD_SECRET)
"""

import os
import sys

import openstack

SERVICES = (
    ("glance", "image", "9292"),
    ("placement", "placement", "8778"),
    ("nova", "compute", "8774/v2.1"),
    ("neutron", "network", "9696"),
)


def main(cloud: str, address: str) -> None:
    password = os.environ["OPENSTACK_CLOUD_SECRET"]
    identity = openstack.connect(cloud=cloud).identity
    roles = {role.name: role for role in identity.roles()}
    for name, wanted in (("service", ("admin", "service")), ("demo", ("member",))):
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password=password, default_project_id=project.id, domain_id="default")
        for role in wanted:
            identity.assign_project_role_to_user(project, user, roles[role])
    for name, kind, port in SERVICES:
        service = identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(service_id=service.id, interface=interface, url=f"http://{address}:{port}", region_id="RegionOne")


if __name__ == "__main__":
    main(*sys.argv[1:])
