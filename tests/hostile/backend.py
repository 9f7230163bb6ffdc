"""Attacks on the JSON API of HA-B, by somebody who has its token: in names, addresses, queries, headers and bodies."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import urllib.parse
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

METHODS: Final = ("get", "post", "put", "delete")


class Api:
    def __init__(self, connect: Callable[[], Any], tls: ssl.SSLContext, token: str) -> None:
        self._connect, self._tls, self._token = connect, tls, token
        self.paths: dict[str, dict[str, Any]] = json.loads(self.ask("GET", "/openapi.json")[1])["paths"]

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("ha-b", timeout=60)
        connection.sock = self._tls.wrap_socket(self._connect())
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self._token}", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def attack(self, text: Callable[[], str], chance: random.Random, requests: int) -> Counter[int]:
        """How often which status came. Paths that need no name are not attacked by methods that change everything."""
        statuses: Counter[int] = Counter()
        named = [
            (path, method.upper()) for path, operations in self.paths.items() for method in METHODS if method in operations and "{" in path
        ]
        for _ in range(requests):
            path, method = chance.choice(named)
            while "{" in path:
                before, _, rest = path.partition("{")
                path = before + urllib.parse.quote(text(), safe="") + rest.partition("}")[2]
            body = json.dumps({text(): text(), "name": text(), "key": text(), "previous_owner": text()}).encode()
            query = urllib.parse.urlencode({text(): text()})
            status, _answer = self.ask(method, f"{path}?{query}", body, {"Content-Type": "application/json", "User-Agent": query[:500]})
            statuses[status] += 1
        return statuses
