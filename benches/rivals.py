"""What `pipeline run` is measured against, over the same rows: PostgreSQL alone, and DuckDB with psql.

usage: rivals.py floor FOLDER DATABASE | rivals.py duckdb FILE SUFFIX FOLDER DATABASE       the server: libpq's variables

Both are programs of their own so that their CPU is counted like the pipeline's. The floor has no parsing, no masking, no
checks and no swap: ready binary files, two jobs, COPY FREEZE into new tables, then the indexes of the leaf. DuckDB
flattens to CSV and psql copies four files at once into indexed tables: what a script's author would settle for.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKS = ["-X", "-q", "-v", "ON_ERROR_STOP=1"]


def psql(database, *commands, one_transaction=False):
    flags = [part for command in commands for part in ("-c", command)]
    subprocess.run(["psql", *CHECKS, *(["-1"] if one_transaction else []), *flags, database], check=True)


def prepare(server, database, folder, source, date):
    """Writes the rows of a loaded batch, in the order of the source, and the DDL of its leaves."""
    tables = []
    entities = server.sql(database, "select relname from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace")
    for (entity,) in entities:
        of = f"from {entity} where source = '{source}' and batch_date = '{date}'"
        leaf = server.sql(database, f"select tableoid::regclass {of} limit 1")[0][0]
        columns = server.sql(
            database,
            f"""select quote_ident(attname), quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                || case when attnotnull then ' not null' else '' end
                from pg_attribute where attrelid = '{leaf}'::regclass and attnum > 0 and not attisdropped order by attnum""",
        )
        indexes = server.sql(
            database,
            f"""select 'create ' || case when indisunique then 'unique ' else '' end || 'index on rival_{entity} '
                || substring(pg_get_indexdef(indexrelid) from 'USING .*')
                from pg_index where indrelid = '{leaf}'::regclass order by indisunique desc""",
        )
        # The source's visits are numbered; patients have no order that the masked rows still show.
        order = "visit_id" if ["visit_id"] in [column[:1] for column in columns] else "md5(ctid::text)"
        path = folder / f"{entity}.bin"
        server.sql(database, f"\\copy (select * from {leaf} order by {order}) to '{path}' (format binary)")
        tables.append(
            {
                "name": f"rival_{entity}",
                "entity": entity,
                "create": f"create table rival_{entity} ({', '.join(column[1] for column in columns)})",
                "indexes": [index[0] for index in indexes],
                "path": str(path),
                "bytes": path.stat().st_size,
            }
        )
    (folder / "tables.json").write_text(json.dumps(tables))


def floor(folder, database):
    tables = json.loads((Path(folder) / "tables.json").read_text())

    def load(table):
        name = table["name"]
        psql(database, f"drop table if exists {name}")
        copy = f"\\copy {name} from '{table['path']}' (format binary, freeze true)"
        psql(database, table["create"], copy, one_transaction=True)
        for index in table["indexes"]:
            psql(database, index)

    with ThreadPoolExecutor(2) as jobs:
        list(jobs.map(load, sorted(tables, key=lambda table: -table["bytes"])))


def duckdb(file, suffix, folder, database):
    import duckdb

    folder = Path(folder)
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    connection.execute(f"create temp table record as select * from read_json('{file}')")
    connection.execute("create temp table visit as select patient_id, unnest(visits) as item from record")
    connection.execute(
        "create temp table diagnosis as select item.visit_id as visit_id, cast(item.date as date) as visit_date, "
        "unnest(item.diagnoses) as item from visit"
    )
    queries = {
        "patients": "select patient_id, name from record",
        "visits": "select patient_id, item.visit_id, cast(item.date as date), item.provider_notes.text, "
        f"item.provider_notes.author{suffix} from visit",
        "diagnoses": "select visit_id, visit_date, item.code, item.description from diagnosis",
        "treatments": f"select visit_id, visit_date, code, item.drug{suffix}, item.dose{suffix} from "
        "(select visit_id, visit_date, item.code as code, unnest(item.treatments) as item from diagnosis)",
    }
    tables = {table["entity"]: table for table in json.loads((folder / "tables.json").read_text())}
    with ThreadPoolExecutor(len(queries)) as jobs:
        copies = []
        for entity, query in queries.items():
            path = folder / f"{entity}.csv"
            table = tables[entity]
            connection.execute(f"copy (select *, 'source', date '2023-06-01' from ({query})) to '{path}' (header false)")
            commands = [
                f"drop table if exists {table['name']}",
                table["create"],
                *table["indexes"],
                f"\\copy {table['name']} from '{path}' (format csv)",
            ]
            copies.append(jobs.submit(psql, database, *commands))
        for copy in copies:
            copy.result()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["floor", folder, database]:
            floor(folder, database)
        case ["duckdb", file, suffix, folder, database]:
            duckdb(file, suffix, folder, database)
        case _:
            sys.exit(__doc__)
