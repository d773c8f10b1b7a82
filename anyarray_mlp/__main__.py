"""`python -m anyarray_mlp` and the `anyarray-mlp` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from anyarray_mlp.cli import main as run

    run()


if __name__ == "__main__":
    main()
