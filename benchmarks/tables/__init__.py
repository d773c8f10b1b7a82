"""The benchmark of tables: this package against its peers on public tables. See `README.md` in this folder."""
