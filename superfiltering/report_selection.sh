#!/usr/bin/env bash
# Superfiltering: one page on what step 3 keeps and drops. Seconds, no GPU.
#   bash superfiltering/report_selection.sh
#   bash superfiltering/report_selection.sh --other_path results/llama/with_ifd.json      # beside another scorer
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

OUT=${OUT:-results/superfiltering}
SAMPLE_RATE=${SAMPLE_RATE:-0.1}

run python superfiltering/report_selection.py --json_data_path "$OUT/with_ifd.json" --sample_rate "$SAMPLE_RATE" \
    --save_path "$OUT/report.html" "$@"
