"""The modules that talk to HA-B, against an HTTP server that answers as its API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import backend_resources
from ansible_collections.closedloop.mobility.plugins.module_utils.backend_api import ApiError, BackendApi
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

KEY = "00112233445566778899aabbccddeeff"


def _agent(name: str, state: str = "ready", role: str = "active", bindings: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "role": role,
        "bindings": bindings,
        "lingering": 0,
        "proof": "",
        "draining": False,
        "serving": role == "active",
    }


def _binding(home: str, owner: str = "a", care_of: str = "2001:db8:1::7") -> dict[str, Any]:
    return {"home_address": home, "care_of_address": care_of, "owner": owner}


class FakeBackend:
    """Its tables, and the requests that it got."""

    def __init__(self) -> None:
        self.agents: list[dict[str, Any]] = []
        self.bindings: list[dict[str, Any]] = []
        self.keys: dict[str, dict[int, str]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.authorization: set[str] = set()
        self.after_reads: list[Any] = []
        self.url = ""

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        url = urlsplit(target)
        if method != "GET":
            self.requests.append((method, url.path, body))
        match [method, *url.path.strip("/").split("/")[1:]]:
            case ["GET", "home-agents"]:
                answer = self._page("home_agents", "name", self.agents, _query(url.query))
                if self.after_reads:
                    self.after_reads.pop(0)()
                return 200, answer
            case ["GET", "bindings"]:
                return 200, self._page("bindings", "home_address", self.bindings, _query(url.query))
            case ["GET", "bindings", home]:
                found = next((row for row in self.bindings if row["home_address"] == home), None)
                return (200, found) if found else _problem(404, "not_found", "home_address", "no binding of this home address")
            case ["GET", "mobile-nodes", home]:
                if home not in self.keys:
                    return _problem(404, "not_found", "home_address", "no mobile node of this home address")
                return 200, {"home_address": home, "spis": sorted(self.keys[home]), "bound": False}
            case ["PUT", "mobile-nodes", home]:
                keys = {entry["spi"]: entry["key"] for entry in body["security_associations"]}
                created, changed = home not in self.keys, self.keys.get(home) != keys
                self.keys[home] = keys
                return (201 if created else 200), {"created": created, "changed": changed}
            case ["DELETE", "mobile-nodes", home]:
                self.keys.pop(home)
                return 200, {"removed": True}
            case ["POST", "home-agents", name, "drain"] if name == "shared":
                return _problem(409, "conflict", "name", "the home agent address is shared")
            case ["POST" | "DELETE", "home-agents", *_]:
                return 200, {}
        return _problem(404, "not_found", "", "no such path")

    def _page(self, kind: str, key: str, known: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """Two rows at a time."""
        rows = [row for row in known if query.get("owner") in (None, row.get("owner")) and row[key] > query.get("cursor", "")]
        page = [dict(row) for row in sorted(rows, key=lambda row: str(row[key]))[: min(2, int(query["limit"]))]]
        return {kind: page, "next": page[-1][key] if len(rows) > len(page) else None}


def _query(text: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(text).items()}


def _problem(status: int, code: str, field: str, message: str) -> tuple[int, Any]:
    return status, {"error": {"code": code, "field": field, "message": message}}


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    fake = FakeBackend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            fake.authorization.add(self.headers.get("Authorization", ""))
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            status, data = fake.answer(self.command, self.path, body)
            text = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_DELETE = _serve

        def log_message(self, *_arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield fake
    server.shutdown()
    thread.join(10)
    server.server_close()


def _params(backend: FakeBackend, spec: dict[str, Any], **options: Any) -> dict[str, Any]:
    defaults = {name: entry.get("default") for name, entry in spec.items()}
    return {**defaults, "url": backend.url, **options}


def _agents(backend: FakeBackend, *, check_mode: bool = False, **options: Any) -> Any:
    params = _params(backend, backend_resources.HOME_AGENT_INFO_ARGUMENTS, **options)
    return backend_resources.home_agent_info(params, check_mode=check_mode)


def _bindings(backend: FakeBackend, *, check_mode: bool = False, **options: Any) -> Any:
    return backend_resources.binding_info(_params(backend, backend_resources.BINDING_INFO_ARGUMENTS, **options), check_mode=check_mode)


def _order(backend: FakeBackend, *, check_mode: bool = False, **options: Any) -> Any:
    return backend_resources.home_agent(_params(backend, backend_resources.HOME_AGENT_ARGUMENTS, **options), check_mode=check_mode)


def _node(backend: FakeBackend, *, check_mode: bool = False, **options: Any) -> Any:
    params = _params(backend, backend_resources.MOBILE_NODE_ARGUMENTS, home_address="2001:db8:100::1001", **options)
    return backend_resources.mobile_node(params, check_mode=check_mode)


def test_home_agents_are_listed_or_one_of_them(backend: FakeBackend) -> None:
    backend.agents = [_agent("a"), _agent("b", role="standby")]
    assert [agent["name"] for agent in _agents(backend).values["home_agents"]] == ["a", "b"]
    assert [agent["name"] for agent in _agents(backend, name="b").values["home_agents"]] == ["b"]


def test_home_agents_are_listed_with_their_bindings(backend: FakeBackend) -> None:
    backend.agents = [_agent("a"), _agent("b")]
    backend.bindings = [_binding("2001:db8:100::1001", owner="a"), _binding("2001:db8:100::1002", owner="b")]
    assert [row["owner"] for row in _agents(backend, bindings=True).values["bindings"]] == ["a", "b"]
    assert [row["home_address"] for row in _agents(backend, name="b", bindings=True).values["bindings"]] == ["2001:db8:100::1002"]
    assert "bindings" not in _agents(backend).values


@pytest.mark.parametrize(
    ("condition", "before", "after"),
    [
        ("ready", _agent("b", "syncing", "standby"), _agent("b", "ready", "standby")),
        ("serving", _agent("b", "ready", "standby"), _agent("b", "ready", "active")),
        ("stopped", _agent("b", "lost"), _agent("b", "stopped")),
        ("empty", _agent("b", bindings=3), _agent("b")),
        ("empty", {**_agent("b"), "lingering": 1}, _agent("b")),
    ],
)
def test_a_condition_is_waited_for(backend: FakeBackend, condition: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    backend.agents = [before]
    backend.after_reads = [lambda: None, lambda: backend.agents.__setitem__(0, after)]
    assert _agents(backend, name="b", wait_for=condition).values["home_agents"] == [after]


def test_a_condition_that_is_not_met_in_time_tells_what_there_is(backend: FakeBackend) -> None:
    backend.agents = [_agent("b", "syncing", "standby", 7)]
    with pytest.raises(MobilityError, match=r"home agent b ready within 30 ms: no; b is syncing \(standby, 7 bindings, 0 lingering\)"):
        _agents(backend, name="b", wait_for="ready", timeout_ms=30)
    backend.agents = []
    with pytest.raises(MobilityError, match="knows no home agent b"):
        _agents(backend, name="b", wait_for="ready", timeout_ms=30)


def test_an_api_that_is_out_of_reach_is_an_error_with_a_remedy_and_in_check_mode_nothing(backend: FakeBackend) -> None:
    with pytest.raises(MobilityError, match="check that it runs"):
        _agents(backend, url="http://127.0.0.1:9", timeout_ms=30)
    assert _agents(backend, url="http://127.0.0.1:9", check_mode=True).values["home_agents"] == []


def test_waiting_ends_when_the_process_has_ended_and_tells_its_last_words(backend: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "ha-pp.log").write_text("starting\nha-pp.yml: home_link: is missing; \x1b[31madd it\n", encoding="utf-8")
    record = str(tmp_path / "ha-pp.json")
    with pytest.raises(MobilityError, match=r"process ha-pp has ended .* is 'ha-pp.yml: home_link: is missing; \\x1b\[31madd it'"):
        _agents(backend, name="b", wait_for="ready", process_record=record)
    with pytest.raises(MobilityError, match="process ha-pp has ended"):
        _agents(backend, url="http://127.0.0.1:9", process_record=record)


def test_bindings_come_page_by_page(backend: FakeBackend) -> None:
    backend.bindings = [_binding(f"2001:db8:100::{number}") for number in range(1, 6)]
    assert len(_bindings(backend).values["bindings"]) == 5
    backend.bindings[0]["owner"] = "b"
    assert len(_bindings(backend, owner="a").values["bindings"]) == 4


def test_one_binding_is_asked_for_by_its_shortest_text(backend: FakeBackend) -> None:
    backend.bindings = [_binding("2001:db8:100::1")]
    assert len(_bindings(backend, home_address="2001:0DB8:0100:0::0001").values["bindings"]) == 1
    assert _bindings(backend, home_address="2001:db8:100::2").values["bindings"] == []


def test_a_move_is_waited_for_by_the_care_of_prefix(backend: FakeBackend) -> None:
    backend.bindings = [_binding("2001:db8:100::1", care_of="2001:db8:1::7")]
    options = {"home_address": "2001:db8:100::1", "care_of_prefix": "2001:db8:2::/64", "wait_for": "bound"}
    with pytest.raises(MobilityError, match="there is 2001:db8:100::1 at 2001:db8:1::7 by a"):
        _bindings(backend, timeout_ms=30, **options)
    backend.bindings = [_binding("2001:db8:100::1", care_of="2001:db8:2::7")]
    assert _bindings(backend, **options).values["bindings"] == backend.bindings
    with pytest.raises(MobilityError, match="unbound within 30 ms"):
        _bindings(backend, home_address="2001:db8:100::1", wait_for="unbound", timeout_ms=30)


@pytest.mark.parametrize(
    ("state", "options", "request_"),
    [
        ("serving", {"previous_owner": "a"}, ("POST", "/v1/home-agents/b/promote", {"previous_owner": "a"})),
        ("active", {}, ("POST", "/v1/home-agents/b/activate", {})),
        ("fenced", {"stopped": True}, ("POST", "/v1/home-agents/b/fence", {"stopped": True})),
        ("drained", {}, ("POST", "/v1/home-agents/b/drain", {})),
        ("absent", {}, ("DELETE", "/v1/home-agents/b", None)),
    ],
)
def test_orders_are_given_and_in_check_mode_only_predicted(
    backend: FakeBackend, state: str, options: dict[str, Any], request_: Any
) -> None:
    backend.agents = [_agent("b", role="standby")]
    assert _order(backend, name="b", state=state, check_mode=True, **options).changed
    assert backend.requests == []
    assert _order(backend, name="b", state=state, **options).changed
    assert backend.requests == [request_]


@pytest.mark.parametrize(
    ("state", "agent"),
    [
        ("serving", _agent("b")),
        ("active", _agent("b")),
        ("fenced", {**_agent("b"), "proof": "bye"}),
        ("drained", {**_agent("b"), "draining": True}),
        ("serving", {**_agent("b"), "draining": True}),
    ],
)
def test_an_order_that_was_carried_out_is_not_given_again(backend: FakeBackend, state: str, agent: dict[str, Any]) -> None:
    backend.agents = [agent]
    assert not _order(backend, name="b", state=state).changed
    assert backend.requests == []


def test_a_home_agent_that_is_unknown_is_an_error_except_where_it_should_be_gone(backend: FakeBackend) -> None:
    assert not _order(backend, name="x", state="absent", check_mode=True).changed
    assert backend.requests == []
    assert not _order(backend, name="x", state="absent").changed
    assert backend.requests == [("DELETE", "/v1/home-agents/x", None)], "HA-B tells the control loop that it is gone"
    with pytest.raises(MobilityError, match="knows no home agent 'x'"):
        _order(backend, name="x", state="serving")


def test_in_check_mode_a_home_agent_that_is_not_there_yet_would_serve_and_nothing_else_is_promised(backend: FakeBackend) -> None:
    outcome = _order(backend, name="x", state="serving", check_mode=True)
    assert (outcome.changed, outcome.after) == (True, {"name": "x", "ordered": "serving"})
    for state in ("fenced", "drained"):
        with pytest.raises(MobilityError, match="knows no home agent 'x'"):
            _order(backend, name="x", state=state, check_mode=True)
    assert backend.requests == []


def test_only_the_nodes_that_are_still_there_are_switched_and_once(backend: FakeBackend) -> None:
    backend.agents = [_agent("a", bindings=2), _agent("b")]
    backend.bindings = [_binding("2001:db8:100::1"), _binding("2001:db8:100::2"), _binding("2001:db8:100::3", owner="b")]
    options = {"name": "a", "state": "switched", "to": "b", "home_addresses": ["2001:db8:100:0::1", "2001:db8:100::3"]}
    predicted = _order(backend, check_mode=True, **options)
    assert (predicted.before, predicted.after) == ({"2001:db8:100::1": "a"}, {"2001:db8:100::1": "b"})
    assert backend.requests == []
    assert _order(backend, **options).changed
    assert backend.requests == [("POST", "/v1/home-agents/a/switch", {"to": "b", "home_addresses": ["2001:db8:100::1"]})]
    backend.bindings[0]["owner"] = "b"
    assert not _order(backend, **options).changed
    assert len(backend.requests) == 1


def test_one_that_is_to_serve_gets_its_nodes_by_the_same_order(backend: FakeBackend) -> None:
    backend.agents = [_agent("a", bindings=1), _agent("b", role="standby")]
    backend.bindings = [_binding("2001:db8:100::1")]
    moves = [{"name": "a", "to": "b", "home_addresses": ["2001:db8:100::1", "2001:db8:100::2"], "bit_per_s": 7}]
    options = {"name": "b", "state": "active", "moves": moves}
    predicted = _order(backend, check_mode=True, **options)
    assert predicted.before == {"name": "b", "state": "ready", "role": "standby", "2001:db8:100::1": "a"}
    assert predicted.after == {"name": "b", "ordered": "active", "2001:db8:100::1": "b"}
    assert backend.requests == []
    assert _order(backend, **options).changed
    switched = ("POST", "/v1/home-agents/a/switch", {"to": "b", "home_addresses": ["2001:db8:100::1"]})
    assert backend.requests == [("POST", "/v1/home-agents/b/activate", {}), switched]
    backend.agents[1] = _agent("b")
    assert _order(backend, **options).changed, "it serves already, the node is still to move"
    assert backend.requests[2:] == [switched]
    backend.bindings[0]["owner"] = "b"
    assert not _order(backend, **options).changed
    assert len(backend.requests) == 3


def test_a_move_of_several_nodes_is_waited_for(backend: FakeBackend) -> None:
    backend.bindings = [_binding("2001:db8:100::1"), _binding("2001:db8:100::2", owner="b")]
    both = ["2001:db8:100::1", "2001:db8:100:0::2"]
    with pytest.raises(MobilityError, match="bound within 30 ms"):
        _bindings(backend, home_addresses=both, owner="b", wait_for="bound", timeout_ms=30)
    assert len(_bindings(backend, home_addresses=both, wait_for="bound").values["bindings"]) == 2
    with pytest.raises(MobilityError, match="unbound within 30 ms"):
        _bindings(backend, home_addresses=both, owner="a", wait_for="unbound", timeout_ms=30)
    backend.bindings[0]["owner"] = "b"
    assert _bindings(backend, home_addresses=both, owner="a", wait_for="unbound").values["bindings"] == []


def test_a_refusal_keeps_field_and_reason(backend: FakeBackend) -> None:
    backend.agents = [_agent("shared")]
    with pytest.raises(ApiError, match="409 conflict: name: the home agent address is shared") as caught:
        _order(backend, name="shared", state="drained")
    assert (caught.value.status, caught.value.code) == (409, "conflict")


def test_a_mobile_node_is_stored_once_and_again_when_its_key_changes(backend: FakeBackend) -> None:
    assert _node(backend, spi=256, key=KEY).changed
    assert not _node(backend, spi=256, key=KEY).changed
    assert _node(backend, spi=256, key=KEY[::-1]).changed
    assert _node(backend, spi=257, key=KEY).changed
    assert backend.keys == {"2001:db8:100::1001": {257: KEY}}


def test_a_key_file_is_read_and_the_key_is_in_no_result(backend: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n", encoding="ascii")
    outcome = _node(backend, spi=256, key_file=str(tmp_path / "key"))
    assert backend.keys["2001:db8:100::1001"] == {256: KEY}
    assert KEY not in str(outcome.result(diff=True))
    with pytest.raises(MobilityError, match="cannot be read"):
        _node(backend, spi=256, key_file=str(tmp_path / "missing"))


def test_a_mobile_node_in_check_mode(backend: FakeBackend) -> None:
    assert _node(backend, spi=256, key=KEY, check_mode=True).changed
    assert backend.keys == {}
    assert _node(backend, spi=256, key_file="/never/was", url="http://127.0.0.1:9", check_mode=True).changed


def test_a_mobile_node_is_removed_once(backend: FakeBackend) -> None:
    _node(backend, spi=256, key=KEY)
    assert _node(backend, state="absent").changed
    assert not _node(backend, state="absent").changed


def test_the_token_goes_into_the_header(backend: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n", encoding="ascii")
    _agents(backend, token_file=str(tmp_path / "token"))
    assert backend.authorization == {"Bearer t0ken"}
    with pytest.raises(MobilityError, match=r"token_file .* cannot be read"):
        _agents(backend, token_file=str(tmp_path / "missing"))


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "http://x/v1", "[2001:db8::1]:7311"])
def test_a_url_that_is_no_api_root_is_refused(url: str) -> None:
    with pytest.raises(MobilityError, match="is not the root of an HTTP API"):
        BackendApi({"url": url, "request_timeout_ms": 100})
