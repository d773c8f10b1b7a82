"""Eleven problems that people brought, each run end to end; `python -m examples` runs them all."""
