#!/usr/bin/env bash
# Every figure of a CPU in one table, the goal beside each: short runs, 10 minutes at most on 2 cores.
#   bash tests/bench/all.sh                   # results/bench/*.json, and all of them in results/bench/figures.json
#   python -m tests.bench.figures results/bench/figures.json --save_path tests/bench/figures.json --readme   # keep them
# Ratios are against a baseline of the same run. Speed that was there before and is not now shows as a goal missed.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../.."
source common/launch.sh

OUT=${OUT:-results/bench}
export HF_HUB_OFFLINE=1
FOUND=()

bench() { # bench NAME ARGUMENTS
    run python -m "tests.bench.bench_$1" "${@:2}" --json "$OUT/$1.json"
    FOUND+=("$OUT/$1.json")
}

bench client --loops bare --seconds 2 --repeats 1
bench store --answers 200000
bench rows --megabytes 200
bench pairs
bench ifd --rows 60 --oracle_rows 20 --rounds 2
bench facility_location
bench near_duplicates --rows 40000
bench webr
bench augcon
bench question_filter
bench scorer
bench small_server --requests 32 --alone 1 --max_tokens 64
bench edu_filter --quick
run python -m tests.bench.figures "${FOUND[@]}" --save_path "$OUT/figures.json"
