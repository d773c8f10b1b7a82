"""Tables as people write them: read strictly, by rules that say what they decided."""

from anyarray_mlp.tables.read import read_table, table_in
from anyarray_mlp.tables.reading import ColumnReading, Reading
from anyarray_mlp.tables.table import Table

__all__ = ["ColumnReading", "Reading", "Table", "read_table", "table_in"]
