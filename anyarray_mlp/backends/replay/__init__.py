"""Compiled steps for libraries with writable arrays: record a step once, plan its buffers, replay the calls."""
