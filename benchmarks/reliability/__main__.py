"""The reliability campaign: `python -m benchmarks.reliability --minutes 10`. See `--help`."""

from __future__ import annotations

import os
import sys

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when NumPy is first imported

from benchmarks.reliability.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
