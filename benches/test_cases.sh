#!/usr/bin/env bash
# How long `pipeline test` takes over 100 cases of three entities: bash benches/test_cases.sh [PIPELINE]
# The program is target/release/pipeline unless another is named. Prints seconds of the wall clock and of the processors.
set -euo pipefail
program=$(realpath "${1:-"$(dirname "$0")/../target/release/pipeline"}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$program" init "$folder/project" > "$folder/init"
cases="$folder/project/sql/clinic/tests/hundred.yaml"
{
  echo "tests:"
  for number in $(seq 1 97); do
    cat <<CASE
  - name: like $number
    date: 2023-05-01
    records:
      - id: P-$number
        name: Ada
        visits:
          - {number: V-$number, day: 2023-05-01, reason: cough, drugs: [{name: Ibuprofen, dose_mg: $number}]}
          - {number: W-$number, day: 2023-05-02, drugs: []}
    rows:
      visits:
        - {visit_id: V-$number, reason: cough}
        - {visit_id: W-$number, reason: null}
      prescriptions:
        - {visit_id: V-$number, drug: Ibuprofen, dose_mg: $number}
CASE
  done
} > "$cases"
cd "$folder/project"
# Once to warm the caches, then three times.
"$program" test > "$folder/first"
tail -1 "$folder/first"
TIMEFORMAT='%R s wall, %U s user, %S s system'
for _ in 1 2 3; do time "$program" test > "$folder/again"; done
