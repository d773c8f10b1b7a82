"""`python -m tools`: writes `docs/api.txt` and the parts of the documents that say what the code has."""

from __future__ import annotations

from tools import documents, public_names

if __name__ == "__main__":
    for written in (public_names.write(), *documents.write()):
        print(f"wrote {written}")
