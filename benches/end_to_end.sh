#!/usr/bin/env bash
# Measures `pipeline run` against a bare COPY of the same rows and against DuckDB with psql, on a private PostgreSQL
# server. Arguments: benches/end_to_end.sh --help. Needs python3, PostgreSQL's programs, a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 benches/end_to_end.py "$@"
