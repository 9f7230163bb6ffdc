"""Answers of the listener: status, body and headers (VES Event Listener 7.2: operations, and service and policy exceptions)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

HEADERS: Final = {"X-MinorVersion": "2", "X-PatchVersion": "1", "X-LatestVersion": "7.2.1", "Server": "closedloop"}
"""On every answer: the version of the interface; and a name instead of the versions of what it is made of."""
RETRY_AFTER_S: Final = 1
RETRY_AFTER_FAILURE_S: Final = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """reason: short name for the metrics; empty where the request was accepted."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reason: str = ""


def exception(
    status: int, kind: Literal["ServiceException", "PolicyException"], message_id: str, text: str, reason: str, **headers: str
) -> Reply:
    """A `requestError`. The text never holds anything of the request."""
    body = msgspec.json.encode({"requestError": {kind: {"messageId": message_id, "text": text}}})
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()}, reason)


def service(message_id: str, text: str, reason: str) -> Reply:
    """400 because of what the body holds."""
    return exception(400, "ServiceException", message_id, text, reason)


ACCEPTED: Final = Reply(202)
UNAUTHORIZED: Final = exception(
    401, "PolicyException", "POL2000", "Unauthorized user", "unauthorized", WWW_Authenticate='Basic realm="VES", charset="UTF-8"'
)
NOT_FOUND: Final = exception(404, "ServiceException", "SVC0001", "No such resource", "path")
POST_ONLY: Final = exception(405, "ServiceException", "SVC0001", "Method is not allowed here", "method", Allow="POST")
GET_ONLY: Final = exception(405, "ServiceException", "SVC0001", "Method is not allowed here", "method", Allow="GET, HEAD")
TOO_SLOW: Final = exception(408, "ServiceException", "SVC0001", "The body did not arrive in time", "slow", Connection="close")
TOO_LARGE: Final = exception(
    413, "PolicyException", "POL9003", "Message content size exceeds the allowable limit", "size", Connection="close"
)
ENCODING: Final = exception(415, "ServiceException", "SVC0002", "Bad Parameter (Content-Encoding: gzip or none)", "encoding")
NOT_GZIP: Final = service("SVC0002", "Bad Parameter (body is not gzip)", "encoding")
VERSION: Final = service("SVC0002", "Bad Parameter (API version is not supported, send v7 with minor version 0 to 2)", "version")
BUSY: Final = exception(
    503, "ServiceException", "SVC1000", "No server resources available to process the request", "busy", Retry_After=str(RETRY_AFTER_S)
)
FAILED: Final = exception(
    503, "ServiceException", "SVC1000", "The event cannot be stored now", "store", Retry_After=str(RETRY_AFTER_FAILURE_S)
)
