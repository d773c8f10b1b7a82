"""`python -m tools`: writes `docs/api.txt` and the picture in `docs/design.md` anew from the code."""

from __future__ import annotations

from tools import architecture, public_names

if __name__ == "__main__":
    for written in (public_names.write(), architecture.write()):
        print(f"wrote {written}")
