"""Whether cures that helped in a trial help on seeds that the trial did not have.

    python -m benchmarks.diagnosis.cures --data DIR [--plants 2] [--seed 700] [--out FILE]

Faults of settings and of tables are planted as in `table_runs`; every change that `try_cures` says helped is run on
three more seeds, with and without.
"""

from __future__ import annotations

import argparse
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis.changes import in_python
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.training import fit_and_diagnose
from anyarray_mlp.pipeline.trials import triable
from benchmarks.diagnosis.planted_faults import generator
from benchmarks.diagnosis.runs import machine
from benchmarks.diagnosis.table_faults import CLASSES, TARGET, VALUES, Case, planted, suited

KINDS = (
    "linear_network too_few_epochs batch_too_large dropout_too_strong momentum_too_high warm_up_too_long "
    "weights_too_strong bad_initial_scale units_alike learning_rate_too_high learning_rate_too_low underfitting "
    "unscaled_inputs overfitting input_outliers codes_as_numbers mixed_units target_placeholder"
)
#: Seconds of a trial and of a run on a fresh seed, and the places of those seeds.
SECONDS, FRESH = 40.0, (5, 6, 7)


def tried_of(case: Case) -> list[tuple[str, bool, float, float | None]]:
    """Each change that was tried: what, whether it helped, its gain, and the mean gain on fresh seeds."""
    settings = Settings.of(
        "train_table", None, {"preset": "plain", "target": TARGET, **case.options}
    )
    plan = make_plan(case.frame, settings)
    try:
        _, diagnosis = fit_and_diagnose(plan, (), True)
    except DivergedError as error:
        diagnosis = error.diagnosis
    assert diagnosis is not None
    diagnosis = triable(diagnosis, case.frame, settings, 0.0, plan)
    again: Any = diagnosis.rerun
    found: list[tuple[str, bool, float, float | None]] = []
    for tried in diagnosis.try_cures(SECONDS).tried:
        fresh = None
        if tried.helped:
            pairs = [[again(c, s, SECONDS).score for c in (tried.change, {})] for s in FRESH]
            fresh = float(np.mean([new - old for new, old in pairs]))
        found.append((in_python(tried.change), tried.helped, tried.gain, fresh))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plants", type=int, default=2)
    parser.add_argument("--seed", type=int, default=700)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/diagnose_cures.md"))
    given: Any = parser.parse_args()
    rows: list[str] = []
    helped: list[float] = []
    warnings.simplefilter("ignore")
    for kind in KINDS.split():
        names = suited(kind, [*CLASSES, *VALUES])
        order = generator("cure", kind).permutation(len(names))
        for k in range(given.plants):
            name = names[order[k % len(names)]]
            with np.errstate(all="ignore"):
                found = tried_of(planted(kind, name, given.seed + k, given.data))
            for change, did, gain, fresh in found:
                if fresh is not None:
                    helped.append(fresh)
                told = "-" if fresh is None else f"{fresh:.3f}"
                cells = (kind, name, change, f"{gain:.3f}", "yes" if did else "no", told)
                rows.append(f"| {' | '.join(cells)} |")
                print(rows[-1], flush=True)
    better = sum(gain > 0 for gain in helped)
    command = f"python -m benchmarks.diagnosis.cures --plants {given.plants} --seed {given.seed}"
    lines = [
        "# Cures that were tried, on fresh seeds",
        "",
        f"{date.today()}, {machine()}; `{command}`. Of {len(rows)} changes tried, {len(helped)} helped in the trial, "
        f"of which {better} helped on three seeds that the trial did not have.",
        "",
        "| planted | table | change | gain in the trial | helped | gain on fresh seeds |",
        "|---|---|---|---:|---|---:|",
        *rows,
    ]
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
