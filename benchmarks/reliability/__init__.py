"""The reliability campaign: faults of every kind, made to happen, and what must hold under each.

`python -m benchmarks.reliability` runs it; `benchmarks/results/reliability.md` keeps what came of it.
"""
