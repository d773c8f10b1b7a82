"""`anyarray-mlp info`: what is at hand, and how to get what is not."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict

import click

from anyarray_mlp.cli.options import json_option
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.spelling import Command


@click.command(cls=Command)
@json_option
def command(as_json: bool) -> None:
    """List backends, versions and devices, and how to get what is missing."""
    from anyarray_mlp import __version__, arithmetic, streams
    from anyarray_mlp.backends import backend_statuses

    statuses = backend_statuses()
    if as_json:
        report = {
            "version": __version__,
            "python": platform.python_version(),
            "reproducible_arithmetic": arithmetic.VERSION,
            "random_streams": streams.VERSION,
            "backends": [asdict(status) for status in statuses],
        }
        result(json.dumps(report, indent=2))
        return
    result(
        f"anyarray-mlp {__version__}, Python {platform.python_version()}, "
        f"reproducible arithmetic {arithmetic.VERSION}, random streams {streams.VERSION}"
    )
    for status in statuses:
        devices = ", ".join(status.devices) or "no device"
        result(f"  {status.name:<17}{status.version or 'absent':<14}{devices}")
    for status in statuses:
        if status.problem:
            result(f"\n{status.name}: {status.problem}")
