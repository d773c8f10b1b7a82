"""A compiled step for libraries whose arrays can be written: record it once, plan its buffers, replay the calls."""
