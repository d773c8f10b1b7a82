"""`anyarray-mlp serve`: a trained model behind HTTP."""

from __future__ import annotations

import click

from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.cli.kinds import Integer, Number, Text
from anyarray_mlp.cli.options import MODEL, backend_options
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command

#: Hosts that only this machine reaches.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(cls=Command)
@click.argument("model", metavar="RUN", type=MODEL)
@click.option(
    "--host",
    type=Text("a host's name or address"),
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; by default this machine alone can ask.",
)
@click.option(
    "--port",
    type=Integer(0),
    default=8000,
    show_default=True,
    help="The port; 0 for one that is free.",
)
@click.option(
    "--max-body",
    type=Number(0, open_low=True),
    default=10.0,
    show_default=True,
    help="The largest body of a request, in megabytes.",
)
@click.option(
    "--timeout",
    type=Number(0, open_low=True),
    default=30.0,
    show_default=True,
    help="How long a request may take, in seconds.",
)
@click.option(
    "--max-rows",
    type=Integer(1),
    default=4096,
    show_default=True,
    help="How many rows of several requests are predicted together.",
)
@backend_options
def command(
    model: str,
    host: str,
    port: int,
    max_body: float,
    timeout: float,
    max_rows: int,
    device: str,
    backend: str | None,
    dtype: str,
) -> None:
    """Answer requests with RUN, a run's folder or a model file.

    POST rows to /predict, as JSON (a list of objects) or CSV: curl -H 'Content-Type: text/csv' --data-binary
    @rows.csv http://127.0.0.1:8000/predict. GET /health, /model and /metrics (for Prometheus). There is no encryption
    and nobody is asked who they are: --host other than this machine belongs behind a proxy that does both.
    """
    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.errors import BackendUnavailableError, UsageError
    from anyarray_mlp.pipeline.trained_model import TrainedModel

    if port > 65535:
        raise UsageError("--port is at most 65535.")
    try:
        from anyarray_mlp.serving.application import Limits
        from anyarray_mlp.serving.server import serve
    except ImportError as error:
        raise BackendUnavailableError(
            f"serve needs {error.name}, which is not installed: pip install 'anyarray-mlp[serve]'"
        ) from None
    trained = TrainedModel.load(model)
    used = select_backend(backend, device, dtype)
    if host not in LOOPBACK:
        tell(f"warning: whoever reaches {host} may ask, without encryption: put a proxy before it")
    limits = Limits(int(max_body * 1e6), timeout, max_rows)

    def ready(url: str) -> None:
        result(f"serving {shown_path(model)} at {url}")

    serve(trained, used, (host, port), limits, ready)
