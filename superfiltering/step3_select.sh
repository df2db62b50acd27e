#!/usr/bin/env bash
# Superfiltering step 3: the best 10 % and, of the same size, the baselines that any comparison needs. Seconds, no GPU.
#   bash superfiltering/step3_select.sh
#   SAMPLE_RATE=0.05 bash superfiltering/step3_select.sh         # the paper also trains on 5 and 15 %
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

OUT=${OUT:-results/superfiltering}
SAMPLE_RATE=${SAMPLE_RATE:-0.1}

run python superfiltering/step3_select.py --json_data_path "$OUT/with_ifd.json" --json_save_path "$OUT/selected.json" \
    --sample_rate "$SAMPLE_RATE" --random_baseline "$OUT/random.json" --length_baseline "$OUT/longest.json" "$@"
