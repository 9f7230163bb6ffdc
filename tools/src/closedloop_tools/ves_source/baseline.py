"""The reference: the same HTTP server over TLS, which answers 202 to everything at once.

python -m closedloop_tools.ves_source.baseline CONFIG.json
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop
from aiohttp import web
from closedloop_loop.intake import tls
from closedloop_loop.intake.collector import listen
from closedloop_loop.intake.config import Tls


async def answer(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(status=202)


async def serve(certificate: Tls) -> None:
    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    sock = listen("::1", 0)
    await web.SockSite(runner, sock, ssl_context=tls.context(certificate, password_too=True)).start()
    print("listening at", sock.getsockname()[1], file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Tls(**json.loads(Path(sys.argv[1]).read_text())["tls"])))
