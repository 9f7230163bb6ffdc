# Copyright (c) 2026, The closedloop.mobility contributors
# SPDX-License-Identifier: Apache-2.0
"""A connection to a cloud, or the error that tells what to set right.

The import takes half a second. It is done when this file is loaded: Ansible loads an action plug-in in its main process, and all the tasks
that it forks then have the library for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

_library: ModuleType | None = None
_problem = ""
_errors: tuple[type[Exception], ...] = ()
try:
    import openstack as _library
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    _errors = (SDKException, ClientException)
except ImportError as _error:
    _problem = str(_error)


@contextmanager
def refusals(cloud: str, what: str) -> Iterator[None]:
    """Errors of the library in here are MobilityError: which cloud, what was tried, what it said."""
    try:
        yield
    except _errors as error:
        raise MobilityError(f"cloud {cloud}: {what}: {error}") from None


def connected(cloud: str) -> Any:
    """A connection with a token. Raises MobilityError."""
    if _library is None:
        raise MobilityError(f"the Python package openstacksdk cannot be imported ({_problem}): install openstacksdk==4.14.0 for Ansible")
    try:
        connection = _library.connect(cloud=cloud)
        connection.authorize()
    except _library.exceptions.ConfigException as error:
        raise MobilityError(f"cloud {cloud}: {error}; name a cloud of clouds.yaml") from None
    except _errors as error:
        raise MobilityError(f"cloud {cloud}: {_refusal(error)}") from None
    if connection.current_project_id is None:
        raise MobilityError(f"cloud {cloud}: its credentials are of no project; set auth.project_name in clouds.yaml")
    return connection


def _refusal(error: Exception) -> str:
    text = str(error)
    if "401" in text:
        return f"keystone refuses the credentials ({text}); check auth.username, auth.password and the domains in clouds.yaml"
    return f"keystone cannot be asked ({text}); check auth.auth_url in clouds.yaml and that it can be reached from here"
