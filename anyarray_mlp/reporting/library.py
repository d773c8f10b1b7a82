"""The library that draws the charts, as the text of a script."""

from __future__ import annotations

from functools import cache

from anyarray_mlp.errors import BackendUnavailableError


@cache
def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script; `BackendUnavailableError` with the remedy if they are not there."""
    try:
        import vl_convert
    except ImportError:
        raise BackendUnavailableError(
            "charts are drawn by Vega-Lite, of vl-convert, which is not installed: pip install 'anyarray-mlp[report]'"
        ) from None
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def version() -> str:
    """What the charts are drawn by, as a licence wants to be named."""
    import vl_convert

    return f"Vega {vl_convert.get_vega_version()}, Vega-Embed {vl_convert.get_vega_embed_version()}"
