"""The API does what its document says: every operation exists, every answer has the shape that is written there."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from closedloop_nf.ha_b.api.document import OPERATIONS, document
from closedloop_nf.link import messages as m
from closedloop_nf.runtime.tls import client_context

from tests.daemons.ha_b.certificates import Authority
from tests.daemons.ha_b.daemon import API_TOKEN, PATIENCE_S, TOKEN, Answer, Daemon, PacketProcessor, care_of, home

DOCUMENT = document()
KEY = "00112233445566778899aabbccddeeff"


class Client:
    """Asks, and holds every answer against the document. `seen`: (method, path template, status)."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.seen: set[tuple[str, str, int]] = set()

    async def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        answer = await self.daemon.api(method, path, body, **more)
        assert answer.status == status, answer
        self.check(method, path.partition("?")[0], answer)
        return answer.body

    def check(self, method: str, path: str, answer: Answer) -> None:
        template = next(
            (
                t
                for t in DOCUMENT["paths"]
                if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", t), path) and method.lower() in DOCUMENT["paths"][t]
            ),
            None,
        )
        if template is None:
            assert answer.status in (404, 405), f"{method} {path} is in no document"
            schema = DOCUMENT["paths"]["/v1/bindings"]["get"]["responses"]["default"]
        else:
            responses = DOCUMENT["paths"][template][method.lower()]["responses"]
            assert answer.status >= 400 or str(answer.status) in responses, f"{method} {template} does not name {answer.status}"
            schema = responses.get(str(answer.status), responses["default"])
            self.seen.add((method, template, answer.status))
        jsonschema.validate(
            answer.body,
            {**schema["content"]["application/json"]["schema"], "components": DOCUMENT["components"]},
            format_checker=jsonschema.FormatChecker(),
        )


async def eventually(ask: Client, path: str, **wanted: object) -> None:
    """Within five seconds the answer has these fields."""
    deadline = time.monotonic() + 5
    while not wanted.items() <= (found := await ask("GET", path)).items():
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)


async def test_every_operation_answers_as_the_document_says(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    ask = Client(daemon)
    a, b, s = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "b"), PacketProcessor(daemon, "s", role="standby")
    for processor in (a, b, s):
        await processor.join()
    served = await daemon.api("GET", "/openapi.json")
    assert served.body == DOCUMENT

    # bindings, paged and filtered
    a.say(*(m.Register(n, home(n), care_of(n % 2), 1, 3600, 0xE000, 0) for n in range(1, 8)))
    await a.wait(m.Registered, 7)
    first = await ask("GET", "/v1/bindings?limit=4")
    second = await ask("GET", f"/v1/bindings?limit=4&cursor={first['next']}")
    assert [row["home_address"] for page in (first, second) for row in page["bindings"]] == [f"2001:db8:1::{n}" for n in range(1, 8)]
    assert second["next"] is None
    assert len((await ask("GET", "/v1/bindings?care_of_address=2001:db8:2::1"))["bindings"]) == 4
    assert (await ask("GET", "/v1/bindings?owner=b"))["bindings"] == []
    one = await ask("GET", "/v1/bindings/2001:db8:1:0:0:0:0:3")
    assert (one["home_address"], one["owner"], one["flags"]) == ("2001:db8:1::3", "a", ["A", "H", "L"])
    await ask("GET", "/v1/bindings/2001:db8:1::99", status=404)
    assert one["from_node_bit_per_s"] == 0
    a.say(m.Traffic([m.NodeRate(home(3), 1000, 20), m.NodeRate(home(99), 5, 5)], first=True, last=False))
    a.say(m.Traffic([m.NodeRate(home(4), 4, 0)], first=False, last=True))
    b.say(m.Traffic([m.NodeRate(home(3), 300, 1)], first=True, last=True))
    await eventually(ask, "/v1/home-agents/b", from_node_bit_per_s=300, to_node_bit_per_s=1)
    await eventually(ask, "/v1/home-agents/a", from_node_bit_per_s=1004, to_node_bit_per_s=20)
    await eventually(ask, "/v1/bindings/2001:db8:1::3", from_node_bit_per_s=1300, to_node_bit_per_s=21)
    await ask("DELETE", "/v1/bindings/2001:db8:1::7")
    await ask("DELETE", "/v1/bindings/2001:db8:1::7", status=404)

    # mobile nodes
    node = "/v1/mobile-nodes/2001:db8:1::1"
    body = {"security_associations": [{"spi": 256, "key": KEY}]}
    assert await ask("PUT", node, body, status=201) == {"created": True, "changed": True}
    assert await ask("PUT", node, body) == {"created": False, "changed": False}
    assert await ask("GET", node) == {"home_address": "2001:db8:1::1", "spis": [256], "bound": True}
    await ask("PUT", "/v1/mobile-nodes/2001:db8:1::2", body, status=201)
    page = await ask("GET", "/v1/mobile-nodes?limit=1")
    assert page["next"] == "2001:db8:1::1"
    assert (await ask("GET", f"/v1/mobile-nodes?cursor={page['next']}"))["next"] is None
    await b.wait(m.SecurityAssociations, 2)
    assert b.keys == {(home(1), 256): bytes.fromhex(KEY), (home(2), 256): bytes.fromhex(KEY)}
    await ask("DELETE", node)
    await ask("GET", node, status=404)
    await ask("GET", "/v1/bindings/2001:db8:1::1", status=404)

    # home agents
    agents = (await ask("GET", "/v1/home-agents"))["home_agents"]
    assert [(agent["name"], agent["state"], agent["role"]) for agent in agents] == [
        ("a", "ready", "active"),
        ("b", "ready", "active"),
        ("s", "ready", "standby"),
    ]
    page = await ask("GET", "/v1/home-agents?limit=2")
    assert ([agent["name"] for agent in page["home_agents"]], page["next"]) == (["a", "b"], "b")
    page = await ask("GET", "/v1/home-agents?limit=2&cursor=b")
    assert ([agent["name"] for agent in page["home_agents"]], page["next"]) == (["s"], None)
    assert (await ask("GET", "/v1/home-agents/a"))["lingering"] == a.lingering
    a.lingering = 5
    await eventually(ask, "/v1/home-agents/a", lingering=5)
    t = PacketProcessor(daemon, "t", role="standby")
    await t.join()
    assert await ask("POST", "/v1/home-agents/t/activate", status=202) == {"name": "t", "previous_owner": "", "state": "adopting"}
    await eventually(ask, "/v1/home-agents/t", role="active", bindings=0)
    assert (await ask("POST", "/v1/home-agents/t/activate"))["state"] == "serving"
    await ask("GET", "/v1/home-agents/x", status=404)
    assert (await ask("POST", "/v1/home-agents/a/switch", {"to": "b", "count": 2}, status=202))["bindings"] == 2
    assert len((await a.wait(m.SwitchHomeAgent)).home_addresses) == 2
    await ask("POST", "/v1/home-agents/a/switch", {"to": "a", "count": 1}, status=409)
    assert (await ask("POST", "/v1/home-agents/b/promote", {"previous_owner": "b"}))["state"] == "serving"
    await ask("POST", "/v1/home-agents/s/promote", status=400)
    assert (await ask("POST", "/v1/home-agents/s/promote", {"previous_owner": "a"}, status=202))["state"] == "adopting"
    relinquish = await a.wait(m.Relinquish)
    a.say(m.Relinquished(relinquish.revision))
    await s.wait(m.Adopt)
    assert (await ask("POST", "/v1/home-agents/s/drain", status=202))["draining"] is True
    assert (await ask("POST", "/v1/home-agents/b/fence", {"stopped": True}))["proof"] == "fenced"
    await ask("POST", "/v1/home-agents/x/fence", status=404)
    await ask("DELETE", "/v1/home-agents/s", status=409)
    await ask("DELETE", "/v1/home-agents/b")

    # events
    page = await ask("GET", "/v1/events")
    kinds = [event["kind"] for event in page["events"]]
    for kind in ("hello", "ready", "relinquished", "stopped", "adopted", "draining", "lost", "forgotten"):
        assert kind in kinds
    waiting = asyncio.create_task(ask("GET", f"/v1/events?since={page['last']}&timeout_s=20"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await a.end()
    assert [event["kind"] for event in (await waiting)["events"]] == ["lost"]
    assert (await ask("GET", "/v1/events?since=1"))["missed"], "1 is older than anything kept"

    operations = {(operation.method, operation.path, status) for operation in OPERATIONS for status in operation.answers}
    assert operations <= ask.seen, operations - ask.seen
    assert KEY not in daemon.log.read_text()
    for processor in (b, s):
        await processor.end()


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/v1/bindings?limit=0", None, "limit"),
        ("GET", "/v1/bindings?limit=1001", None, "limit"),
        ("GET", "/v1/bindings?limit=x", None, "limit"),
        ("GET", "/v1/bindings?cursor=x", None, "cursor"),
        ("GET", "/v1/home-agents?limit=0", None, "limit"),
        ("GET", "/v1/bindings?care_of_address=1.2.3.4", None, "care_of_address"),
        ("GET", "/v1/bindings/x", None, "home_address"),
        ("GET", "/v1/events?timeout_s=61", None, "timeout_s"),
        ("GET", "/v1/events?since=-1", None, "since"),
        ("PUT", "/v1/mobile-nodes/2001:db8:1::1", {"security_associations": []}, "security_associations"),
        ("PUT", "/v1/mobile-nodes/2001:db8:1::1", {"security_associations": [{"spi": 1, "key": KEY}]}, "security_associations[0].spi"),
        ("PUT", "/v1/mobile-nodes/2001:db8:1::1", {"security_associations": [{"spi": 256, "key": "00"}]}, "security_associations[0].key"),
        ("PUT", "/v1/mobile-nodes/2001:db8:1::1", {"security_associations": [{"spi": 256, "key": KEY}] * 2}, "security_associations"),
        ("PUT", "/v1/mobile-nodes/2001:db8:9::1", {"security_associations": [{"spi": 256, "key": KEY}]}, "home_address"),
        ("PUT", "/v1/mobile-nodes/2001:db8:1::1", {"keys": {}}, "(body)"),
        ("POST", "/v1/home-agents/a/switch", {"count": 1}, "(body)"),
        ("POST", "/v1/home-agents/a/fence", [], "(body)"),
    ],
)
async def test_bad_input_names_its_field_and_changes_nothing(shared: Daemon, method: str, path: str, body: Any, field: str) -> None:
    answer = await Client(shared)(method, path, body, status=400)
    assert answer["error"]["field"] == field, answer
    assert (await shared.api("GET", "/v1/mobile-nodes")).body["mobile_nodes"] == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Any:
    """One running daemon for tests that change nothing."""
    daemon = Daemon(tmp_path_factory.mktemp("shared"), authority)
    daemon.start()
    yield daemon
    daemon.end()


async def test_without_the_token_only_the_probes_answer(shared: Daemon) -> None:
    for path in ("/v1/bindings", "/metrics", "/openapi.json", "/nothing"):
        for token in (None, "wrong", TOKEN, API_TOKEN + "x", ""):
            answer = await shared.api("GET", path, token=token)
            assert answer.status == 401
            assert answer.body["error"]["code"] == "unauthorized"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz"):
        answer = await shared.api("GET", path, token=None)
        assert (answer.status, answer.body["status"]) == (200, "ok")


async def test_unknown_paths_methods_and_broken_json_are_json_errors(shared: Daemon) -> None:
    assert (await Client(shared)("GET", "/v2", status=404))["error"]["code"] == "not_found"
    assert (await Client(shared)("POST", "/v1/bindings", status=405))["error"]["code"] == "method_not_allowed"
    for raw in (b"{", b"\xff", b"[" * 100_000):
        answer = await shared.api("PUT", "/v1/mobile-nodes/2001:db8:1::1", raw=raw)
        assert (answer.status, answer.body["error"]["field"]) == (400, "(body)")
    assert (await shared.api("PUT", "/v1/mobile-nodes/2001:db8:1::1", raw=b"x" * 300_000)).status == 413


async def test_metrics_count_what_happened(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.start)
    a, s = PacketProcessor(daemon, "a"), PacketProcessor(daemon, "s", role="standby")
    await a.join()
    await s.join()
    a.register(1, 1)
    a.register(1, 1, lifetime_s=8)
    await a.wait(m.Registered, 2)
    await a.end(abort=True)
    await s.wait(m.Adopt)
    text = (await daemon.api("GET", "/metrics")).body
    for line in (
        'ha_b_registrations_total{status="0"} 1.0',
        'ha_b_registrations_total{status="135"} 1.0',
        'ha_b_bindings{owner="s"} 1.0',
        'ha_b_home_agent_ready{name="a"} 0.0',
        'ha_b_home_agent_serving{name="s"} 1.0',
        'ha_b_events_total{kind="adopted"} 1.0',
        "ha_b_adoption_seconds_count 1.0",
        "ha_b_sessions 1.0",
    ):
        assert line in text.splitlines(), text
    assert float(re.search(r"ha_b_commit_seconds_count (\S+)", text)[1]) >= 3  # type: ignore[index] # the line is there
    await s.end()


# --- command line --------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "closedloop_nf.ha_b.main", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lease_ms": 200}, [": lease_ms, missed_beats, beat_ms: ", "raise lease_ms"]),
        ({"lease_ms": "2000"}, ["lease_ms", "got str"]),
        ({"home_prefixes": []}, ["home_prefixes", "length"]),
        ({"home_prefixes": ["2001:db8:1::1/64"]}, ["home_prefixes[0]", "host bits"]),
        ({"home_agent_address": "shared"}, [": home_agent_address, shared_address: "]),
        ({"home_agent_address": "shared", "shared_address": "2001:db8:9::1"}, [": shared_address, home_prefixes: "]),
        ({"database": {}}, [": database.path, database.url: ", "either path"]),
        ({"database": {"url": "postgresql://u:topsecret@h/d"}}, [": database.url: ", "password_file"]),
        ({"database": {"url": "mysql://h/d"}}, [": database.url: ", "postgresql://"]),
        ({"http": {"port": 0}}, ["http.token_file", "client_ca"]),
        ({"beats_ms": 100}, ["beats_ms", "not a field", "beat_ms"]),
        ({"name": "HA B"}, ["name"]),
    ],
)
def test_a_bad_configuration_names_field_and_remedy(tmp_path: Path, authority: Authority, change: dict[str, Any], words: list[str]) -> None:
    config = {**Daemon(tmp_path, authority).config, **change}
    file = tmp_path / "c.yml"
    file.write_text(yaml.safe_dump(config))
    done = command("--config", str(file), "--check")
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert "topsecret" not in done.stderr


def test_check_and_schema(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "c.yml"
    config = Daemon(tmp_path, authority).config
    file.write_text(yaml.safe_dump(config))
    assert command("--config", str(file), "--check").returncode == 0
    schema = yaml.safe_load(command("--schema").stdout)
    jsonschema.validate(config, schema)
    (tmp_path / "link-token").chmod(0o644)
    done = command("--config", str(file), "--check")
    assert (done.returncode, "chmod 0600" in done.stderr) == (2, True)


def test_a_client_certificate_can_stand_for_the_token(tmp_path: Path, authority: Authority) -> None:
    daemon = Daemon(tmp_path, authority)
    server = authority.server("ha-b")
    daemon.config["http"] = {
        "address": "::1",
        "port": 0,
        "tls": {"certificate": str(server.certificate), "key": str(server.key), "client_ca": str(authority.ca)},
    }
    try:
        daemon.start()
        url = f"https://[::1]:{daemon.http_port}/v1/bindings"
        with urllib.request.urlopen(url, context=client_context(authority.client("operator")), timeout=PATIENCE_S) as response:
            assert (response.status, response.read()) == (200, b'{"bindings":[],"next":null}')
        with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|eof"):
            urllib.request.urlopen(url, context=client_context(authority.client()), timeout=PATIENCE_S)
    finally:
        daemon.end()
