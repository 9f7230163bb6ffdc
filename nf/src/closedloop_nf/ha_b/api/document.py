"""The OpenAPI 3.1 document, made from the same types as the answers, and the table of operations that the routes are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from closedloop_nf import __version__
from closedloop_nf.ha_b.api import types as t


@dataclass(frozen=True)
class Operation:
    """One method of one path. query: name -> (JSON schema, description). answers: status -> type."""

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, type[Any]]
    body: type[Any] | None = None
    query: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    body_required: bool = False


_LIMIT = ({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Entries in the page.")
_CURSOR = ({"type": "string", "format": "ipv6"}, "`next` of the page before.")

OPERATIONS = (
    Operation(
        "GET",
        "/v1/bindings",
        "listBindings",
        "Bindings by home address",
        {200: t.BindingPage},
        query={
            "limit": _LIMIT,
            "cursor": _CURSOR,
            "owner": ({"type": "string"}, "Only those of this HA-PP."),
            "care_of_address": ({"type": "string", "format": "ipv6"}, "Only those with this care-of address."),
        },
    ),
    Operation("GET", "/v1/bindings/{home_address}", "getBinding", "One binding", {200: t.BindingView}),
    Operation("DELETE", "/v1/bindings/{home_address}", "deleteBinding", "Remove a binding; every HA-PP is told", {200: t.Removed}),
    Operation(
        "GET",
        "/v1/home-agents",
        "listHomeAgents",
        "HA-PPs by name",
        {200: t.HomeAgentPage},
        query={"limit": _LIMIT, "cursor": ({"type": "string"}, "`next` of the page before.")},
    ),
    Operation("GET", "/v1/home-agents/{name}", "getHomeAgent", "One HA-PP", {200: t.HomeAgentView}),
    Operation("DELETE", "/v1/home-agents/{name}", "forgetHomeAgent", "Forget a stopped HA-PP without bindings", {200: t.Removed}),
    Operation(
        "POST", "/v1/home-agents/{name}/fence", "fence", "Declare an HA-PP stopped, or cut it off", {200: t.Fenced}, body=t.FenceBody
    ),
    Operation(
        "POST",
        "/v1/home-agents/{name}/promote",
        "promote",
        "Hand everything over to this HA-PP; event `adopted` tells when it is done",
        {200: t.Promoted, 202: t.Promoted},
        body=t.PromoteBody,
    ),
    Operation(
        "POST",
        "/v1/home-agents/{name}/activate",
        "activate",
        "Let a ready standby serve beside the others, event `adopted` tells when it does; or take an order to drain back",
        {200: t.Promoted, 202: t.Promoted},
    ),
    Operation("POST", "/v1/home-agents/{name}/drain", "drain", "Ask all mobile nodes of an HA-PP to move", {202: t.Drained}),
    Operation(
        "POST",
        "/v1/home-agents/{name}/switch",
        "switch",
        "Ask some mobile nodes of an HA-PP to move to another",
        {202: t.Switched},
        body=t.SwitchBody,
        body_required=True,
    ),
    Operation(
        "GET",
        "/v1/mobile-nodes",
        "listMobileNodes",
        "Mobile nodes with keys",
        {200: t.MobileNodePage},
        query={"limit": _LIMIT, "cursor": _CURSOR},
    ),
    Operation("GET", "/v1/mobile-nodes/{home_address}", "getMobileNode", "One mobile node", {200: t.MobileNodeView}),
    Operation(
        "PUT",
        "/v1/mobile-nodes/{home_address}",
        "putMobileNode",
        "Set the security associations of a mobile node",
        {200: t.MobileNodeStored, 201: t.MobileNodeStored},
        body=t.MobileNodeBody,
        body_required=True,
    ),
    Operation("DELETE", "/v1/mobile-nodes/{home_address}", "deleteMobileNode", "Remove its keys and its binding", {200: t.Removed}),
    Operation(
        "GET",
        "/v1/events",
        "listEvents",
        "State changes, oldest first; waits for one where there is none",
        {200: t.EventPage},
        query={
            "since": ({"type": "integer", "minimum": 0, "default": 0}, "`last` of the answer before; 0: from the oldest kept."),
            "timeout_s": ({"type": "number", "minimum": 0, "maximum": 60, "default": 0}, "How long to wait for an event."),
            "limit": _LIMIT,
        },
    ),
)


def document() -> dict[str, Any]:
    """The document."""
    used: list[type[Any]] = [t.ErrorBody]
    for operation in OPERATIONS:
        used += [*operation.answers.values(), *([operation.body] if operation.body is not None else [])]
    unique = list(dict.fromkeys(used))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    reference = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, reference)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HA-B",
            "version": __version__,
            "description": "Home agent backend: bindings, home agents, mobile nodes, events.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "mtls": {"type": "mutualTLS"}},
        },
        "security": [{"bearer": []}, {"mtls": []}],
    }


def _operation(operation: Operation, reference: dict[type[Any], dict[str, Any]]) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **({"format": "ipv6"} if "address" in name else {})}}
        for name in names
    ] + [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
        for name, (schema, description) in operation.query.items()
    ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            **{str(status): _content(f"{operation.summary}.", reference[answer]) for status, answer in operation.answers.items()},
            "default": _content("Refused; nothing was changed.", reference[t.ErrorBody]),
        },
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": reference[operation.body]}},
        }
    return described


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
