"""HTTP requests to commands of the core and views of its tables."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from closedloop_nf.ha_b import commands
from closedloop_nf.ha_b.actions import PROBLEMS, Reply
from closedloop_nf.ha_b.api import types as t
from closedloop_nf.ha_b.api import views
from closedloop_nf.ha_b.api.document import OPERATIONS, document
from closedloop_nf.ha_b.event_log import EventLog
from closedloop_nf.ha_b.world import World
from closedloop_nf.runtime.addresses import from_text
from closedloop_nf.runtime.clock import now

B = TypeVar("B")

_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$", re.S)


class BadRequest(Exception):
    def __init__(self, field: str, message: str, code: str = "invalid", status: int = 400) -> None:
        super().__init__(message)
        self.field, self.message, self.code, self.status = field, message, code, status


class Api:
    """The routes. request: hands a command to the core and awaits its Reply."""

    def __init__(self, world: World, events: EventLog, request: Callable[[commands.Command], Awaitable[Reply]]) -> None:
        self._world, self._events, self._request = world, events, request
        self._document = msgspec.json.encode(document())

    def extend(self, app: web.Application) -> None:
        """Add the operations of the document, each to the method of its name."""
        app.middlewares.append(_errors_as_json)
        for operation in OPERATIONS:
            app.router.add_route(operation.method, operation.path, getattr(self, operation.name))
        app.router.add_get("/openapi.json", self.openapi)

    async def openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    # --- bindings ----------------------------------------------------------------------------------------------------

    async def listBindings(self, request: web.Request) -> web.Response:
        owner = request.query.get("owner")
        care_of = _address(request.query["care_of_address"], "care_of_address") if "care_of_address" in request.query else None
        page = views.bindings(
            self._world,
            lambda row: (owner is None or row.owner == owner) and (care_of is None or row.care_of_address == care_of),
            _cursor(request),
            _integer(request, "limit", 100, 1, 1000),
            now().mono,
        )
        return _json(page)

    async def getBinding(self, request: web.Request) -> web.Response:
        row = self._world.bindings.committed.get(_address(request.match_info["home_address"], "home_address"))
        if row is None or not row.lifetime_s:
            raise BadRequest("home_address", "no binding of this home address", "not_found", 404)
        return _json(views.binding(self._world, row, now().mono))

    async def deleteBinding(self, request: web.Request) -> web.Response:
        return await self._command(commands.DeleteBinding(_address(request.match_info["home_address"], "home_address")), t.Removed)

    # --- home agents -------------------------------------------------------------------------------------------------

    async def listHomeAgents(self, request: web.Request) -> web.Response:
        limit = _integer(request, "limit", 100, 1, 1000)
        return _json(views.home_agents(self._world, request.query.get("cursor"), limit, now().mono))

    async def getHomeAgent(self, request: web.Request) -> web.Response:
        agent = self._world.agents.get(request.match_info["name"])
        if agent is None:
            raise BadRequest("name", "no home agent of this name; GET /v1/home-agents lists them", "not_found", 404)
        return _json(views.home_agent(self._world, agent, now().mono))

    async def forgetHomeAgent(self, request: web.Request) -> web.Response:
        return await self._command(commands.Forget(request.match_info["name"]), t.Removed)

    async def fence(self, request: web.Request) -> web.Response:
        body = await _body(request, t.FenceBody)
        return await self._command(commands.Fence(request.match_info["name"], body.stopped), t.Fenced)

    async def promote(self, request: web.Request) -> web.Response:
        body = await _body(request, t.PromoteBody)
        reply = await self._request(commands.Promote(request.match_info["name"], body.previous_owner))
        return _answer(reply, t.Promoted, 202 if reply.result.get("state") == "adopting" else 200)

    async def activate(self, request: web.Request) -> web.Response:
        reply = await self._request(commands.Activate(request.match_info["name"]))
        return _answer(reply, t.Promoted, 202 if reply.result.get("state") == "adopting" else 200)

    async def drain(self, request: web.Request) -> web.Response:
        return await self._command(commands.Drain(request.match_info["name"]), t.Drained, 202)

    async def switch(self, request: web.Request) -> web.Response:
        body = await _body(request, t.SwitchBody)
        homes = [_address(text, f"home_addresses[{index}]") for index, text in enumerate(body.home_addresses)]
        return await self._command(commands.Switch(request.match_info["name"], body.to, body.count, homes), t.Switched, 202)

    # --- mobile nodes ------------------------------------------------------------------------------------------------

    async def listMobileNodes(self, request: web.Request) -> web.Response:
        return _json(views.mobile_nodes(self._world, _cursor(request), _integer(request, "limit", 100, 1, 1000)))

    async def getMobileNode(self, request: web.Request) -> web.Response:
        home_address = _address(request.match_info["home_address"], "home_address")
        if home_address not in self._world.keys:
            raise BadRequest("home_address", "no mobile node of this home address", "not_found", 404)
        return _json(views.mobile_node(self._world, home_address))

    async def putMobileNode(self, request: web.Request) -> web.Response:
        home_address = _address(request.match_info["home_address"], "home_address")
        body = await _body(request, t.MobileNodeBody)
        keys = {association.spi: bytes.fromhex(association.key) for association in body.security_associations}
        if len(keys) < len(body.security_associations):
            raise BadRequest("security_associations", "an spi is named twice; give each once")
        reply = await self._request(commands.PutMobileNode(home_address, keys))
        return _answer(reply, t.MobileNodeStored, 201 if reply.result.get("created") else 200)

    async def deleteMobileNode(self, request: web.Request) -> web.Response:
        return await self._command(commands.DeleteMobileNode(_address(request.match_info["home_address"], "home_address")), t.Removed)

    # --- events ------------------------------------------------------------------------------------------------------

    async def listEvents(self, request: web.Request) -> web.Response:
        since = _integer(request, "since", 0, 0, 2**63)
        limit = _integer(request, "limit", 100, 1, 1000)
        await self._events.wait(since, _seconds(request, "timeout_s", 60.0))
        entries, missed = self._events.since(since, limit)
        return _json(views.events(entries, last=self._events.last, missed=missed))

    async def _command(self, command: commands.Command, type_: type[Any], status: int = 200) -> web.Response:
        return _answer(await self._request(command), type_, status)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _error(status: int, code: str, field: str, message: str) -> web.Response:
    return _json(t.ErrorBody(t.ErrorDetail(code, field, message)), status)


def _answer(reply: Reply, type_: type[Any], status: int) -> web.Response:
    if reply.problem:
        return _error(PROBLEMS[reply.problem], reply.problem, reply.field, reply.message)
    return _json(msgspec.convert(reply.result, type_), status)


def _address(text: str, field: str) -> bytes:
    try:
        return from_text(text)
    except ValueError as error:
        raise BadRequest(field, str(error)) from None


def _cursor(request: web.Request) -> bytes | None:
    return _address(request.query["cursor"], "cursor") if "cursor" in request.query else None


def _integer(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not least <= int(text) <= most:
        raise BadRequest(name, f"expected a whole number from {least} to {most}")
    return int(text)


def _seconds(request: web.Request, name: str, most: float) -> float:
    text = request.query.get(name, "0")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) > most:
        raise BadRequest(name, f"expected seconds from 0 to {most:g}")
    return float(text)


async def _body(request: web.Request, type_: type[B]) -> B:
    """The JSON body; an empty one is `{}`."""
    data = await request.read()
    try:
        return msgspec.json.decode(data or b"{}", type=type_)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _PLACE.search(text)
        raise BadRequest(place[1] if place else "(body)", _PLACE.sub("", text)) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("(body)", "is not JSON; send a JSON object") from None


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequest as problem:
        return _error(problem.status, problem.code, problem.field, problem.message)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _error(error.status, error.reason.lower().replace(" ", "_"), "", f"{request.method} of this path: {error.reason}")
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
