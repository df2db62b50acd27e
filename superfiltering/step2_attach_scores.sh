#!/usr/bin/env bash
# Superfiltering step 2: the scores beside the rows. Seconds, no GPU.
#   bash superfiltering/step2_attach_scores.sh
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

DATA=${DATA:-data/alpaca_data.json}
OUT=${OUT:-results/superfiltering}

run python superfiltering/step2_attach_scores.py --pt_data_path "$OUT/scores.jsonl" --json_data_path "$DATA" \
    --json_save_path "$OUT/with_ifd.json" "$@"
