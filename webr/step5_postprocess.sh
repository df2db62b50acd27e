#!/usr/bin/env bash
# WebR step 5: refusals, faults and near-duplicates out; two WI for one WR; training data, dataset card, report.
# CPU only, one core, about a minute for 100,000 rows.
#   SAVE_NUM=100000 bash webr/step5_postprocess.sh      # exactly so many, the paper's size, or how many pages it takes
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

run python webr/step5_postprocess.py --WI_data_paths "$OUT/refined.jsonl" --WR_data_paths "$OUT/refined.jsonl" "${FINISH[@]}" "$@"
run python webr/write_report.py --data_path "$OUT/data/webr.jsonl" --save_path "$OUT/report.html"
