"""The parity suite for anybody's array library.

    pytest -p anyarray_mlp.parity_suite.plugin --pyargs anyarray_mlp.parity_suite --parity-namespace=mylib

runs every case of `anyarray_mlp.parity` on the namespace `mylib`, one test for each case and dtype; `docs/parity.md`
is the guide.
"""
