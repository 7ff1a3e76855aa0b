"""Writes the records of an NDJSON file as Parquet: as one file, and as many of so many records each. Needs DuckDB.

usage: parquet.py LINES FILE FOLDER FILES RECORDS
"""

import sys


def write(lines, whole, folder, files, records):
    import duckdb

    database = duckdb.connect()
    database.execute("create table records as select * from read_json(?, sample_size=-1, maximum_depth=-1)", [lines])
    database.execute(f"copy records to '{whole}' (format parquet)")
    for number in range(files):
        part = f"select * from records limit {records} offset {number * records}"
        database.execute(f"copy ({part}) to '{folder}/{number:06}.parquet' (format parquet)")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    write(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]))
