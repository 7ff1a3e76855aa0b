#!/usr/bin/env bash
# How long `pipeline check` takes for 50 sources of four entities: bash benches/check_sources.sh [PIPELINE]
# The program is target/release/pipeline unless another is named. Prints seconds of the wall clock and of the processors.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
program=$(realpath "${1:-$root/target/release/pipeline}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/pipelines"
cp -r "$root/migrations" "$root/sql" "$folder"
grep -v yaml-language-server "$root/pipeline.yaml" > "$folder/pipeline.yaml"
for number in $(seq 10 59); do
    name="source_$number"
    sed -e "s/^name: source_a/name: $name/" -e '/^aliases:/d' -e "s/\bsource_a\b/$name/g" -e '/yaml-language-server/d' \
        "$root/pipelines/source_a.yaml" > "$folder/pipelines/$name.yaml"
    cp -r "$root/sql/source_a" "$folder/sql/$name"
    rm -rf "$folder/sql/$name/tests"
done
rm -rf "$folder/sql/source_a" "$folder/sql/source_b"
cd "$folder"
# Once to warm the caches, then three times.
"$program" check
TIMEFORMAT='%R s wall, %U s user, %S s system'
for _ in 1 2 3; do time "$program" check > "$folder/again"; done
