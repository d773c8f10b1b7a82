"""A server on a socket: started, announced, and stopped once the requests that are there have been answered."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.serving.application import Limits, application


class Server(uvicorn.Server):  # type: ignore[misc]
    """uvicorn's, which tells when it takes requests."""

    ready: Callable[[], None]

    async def startup(self, sockets: Any = None) -> None:
        """Start, and tell."""
        await super().startup(sockets=sockets)
        if self.started:
            self.ready()


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; `UsageError` for a host or a port that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {host} cannot be used ({error.strerror or error}): give another --port or --host."
        ) from error


def url_of(taken: socket.socket) -> str:
    """The address of a socket."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    trained: TrainedModel,
    backend: Backend,
    address: tuple[str, int],
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Serve a model at a host and a port (0 for any that is free) until a signal ends it.

    `ready` is called with the address once requests are taken. On SIGTERM or SIGINT no more are; those that are there
    are answered, within their time, and the process ends by the signal.
    """
    with listening(*address) as taken:
        config = uvicorn.Config(
            application(trained, backend, limits),
            http="h11",
            ws="none",
            loop="asyncio",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(limits.seconds) + 1,
        )
        server = Server(config)
        server.ready = lambda: ready(url_of(taken))
        server.run(sockets=[taken])
