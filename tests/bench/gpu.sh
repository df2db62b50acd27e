#!/usr/bin/env bash
# All figures of a GPU on one H100 or H200, in 8 minutes at most: nothing is downloaded, models have random weights.
#   bash tests/bench/gpu.sh                # a table, and results/bench/gpu/gpu.json (OUT=DIR: elsewhere)
#   bash tests/bench/gpu.sh --small        # the same code on a CPU in small sizes, to see that it runs
# A part that fails, or whose package is missing, is named; the others are measured all the same.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../.."
source common/launch.sh

[[ ${1:-} != --help ]] || { sed -n '2,/^set/s/^# \?//p' "${BASH_SOURCE[0]}" | grep -v ^set && exit; }
OUT=${OUT:-results/bench/gpu}
LIMIT=${LIMIT:-480} # seconds for everything
export HF_HUB_OFFLINE=1

FOUND=() FAILED=()
for part in ifd encoder head facility training vllm; do # what matters most comes first
    left=$((LIMIT - SECONDS))
    if ((left > 0)) && run timeout --kill-after=10 "$left" python -m tests.bench.gpu "$part" --folder "$OUT" --json "$OUT/$part.json" "$@"; then
        FOUND+=("$OUT/$part.json")
    else
        FAILED+=("$part")
    fi
done
((${#FOUND[@]} == 0)) || run python -m tests.bench.figures "${FOUND[@]}" --save_path "$OUT/gpu.json"
if ((${#FAILED[@]})); then
    echo "gpu.sh: not measured: ${FAILED[*]}" >&2
    exit 1
fi
