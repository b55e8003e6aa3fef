"""Reads every published table with DuckDB, Polars and pandas by a hive glob, and checks names, types and row counts
against data_dictionary.parquet. Usage: readers.py RESULTS"""

import pathlib
import sys

import duckdb
import pandas
import polars

DUCKDB = {
    "string": "VARCHAR",
    "string (JSON)": "VARCHAR",
    "double": "DOUBLE",
    "int64": "BIGINT",
    "boolean": "BOOLEAN",
    "timestamp[us, UTC]": "TIMESTAMP WITH TIME ZONE",
    "list<string>": "VARCHAR[]",
    "list<int16>": "SMALLINT[]",
    "list<int64>": "BIGINT[]",
}
POLARS = {
    "string": polars.String,
    "string (JSON)": polars.String,
    "double": polars.Float64,
    "int64": polars.Int64,
    "boolean": polars.Boolean,
    "timestamp[us, UTC]": polars.Datetime("us", "UTC"),
    "list<string>": polars.List(polars.String),
    "list<int16>": polars.List(polars.Int16),
    "list<int64>": polars.List(polars.Int64),
}
# In pandas a column of integers that holds a null is one of floats, and one of texts or lists one of objects.
PANDAS = {
    "string": ("object", "str", "string"),
    "string (JSON)": ("object", "str", "string"),
    "double": ("float64",),
    "int64": ("int64", "float64"),
    "boolean": ("bool", "object"),
    "timestamp[us, UTC]": ("datetime64[us, UTC]",),
    "list<string>": ("object",),
    "list<int16>": ("object",),
    "list<int64>": ("object",),
}


def expected_columns(results, table):
    rows = duckdb.execute(
        'SELECT "column", type FROM read_parquet(?) WHERE "table" = ? ORDER BY position',
        [f"{results}/data_dictionary.parquet", table],
    )
    folders = ["period", "date"] if table == "rollups" else ["as_of"]
    return dict(rows.fetchall()), folders


def check(results, table):
    expected, folders = expected_columns(results, table)
    assert expected, f"{table} is not in the dictionary"

    relation = duckdb.sql(f"SELECT * FROM read_parquet('{results}/{table}/**/*.parquet', hive_partitioning = true)")
    found = dict(zip(relation.columns, map(str, relation.types)))
    assert list(found) == list(expected) + sorted(folders), (table, "duckdb", list(found))
    for column, kind in expected.items():
        assert found[column] == DUCKDB[kind], (table, "duckdb", column, found[column], kind)
    n_rows = len(relation.fetchall())

    frame = polars.scan_parquet(f"{results}/{table}/**/*.parquet", hive_partitioning=True).collect()
    assert frame.columns == list(expected) + folders, (table, "polars", frame.columns)
    for column, kind in expected.items():
        assert frame.schema[column] == POLARS[kind], (table, "polars", column, frame.schema[column], kind)
    assert frame.height == n_rows, (table, "polars", frame.height, n_rows)

    frame = pandas.read_parquet(f"{results}/{table}")
    assert list(frame.columns) == list(expected) + folders, (table, "pandas", list(frame.columns))
    for column, kind in expected.items():
        assert str(frame.dtypes[column]) in PANDAS[kind], (table, "pandas", column, frame.dtypes[column], kind)
    assert len(frame) == n_rows, (table, "pandas", len(frame), n_rows)
    return n_rows


def main():
    results = pathlib.Path(sys.argv[1])
    tables = sorted(path.name for path in results.iterdir() if path.is_dir() and not path.name.startswith("_"))
    assert tables, f"no table in {results}"
    for table in tables:
        print(f"{table}: {check(results, table)} rows")


if __name__ == "__main__":
    main()
