"""Is there still a process behind a health port? Only a refusal by its kernel says no."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

PROBE_TIMEOUT_S: Final = 0.2
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


async def is_refused(host: str, port: int) -> bool:
    """Connect to (`host`, `port`), `host` a numeric address as a socket names it. True: refused. False: connected, silent, unreachable."""
    loop = asyncio.get_running_loop()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    except OSError:
        return False
    with socket.socket(family, kind, protocol) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await loop.sock_connect(sock, address)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
    return False
