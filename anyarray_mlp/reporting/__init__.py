"""What a person is shown of runs: figures that are worked out here, and a page of tables and charts drawn from them.

The figures (`contents` and what it gathers) know nothing of how they are drawn, and the page (`page`, `charts`) works
out nothing.
"""
