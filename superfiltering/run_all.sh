#!/usr/bin/env bash
# Superfiltering from instruction data to the subset to train on: minutes for Alpaca's 52,000 rows.
#   bash superfiltering/run_all.sh                               # data/alpaca_data.json -> results/superfiltering/
#   DATA=mine.json OUT=results/mine MODEL=gpt2 NUM_GPUS=8 bash superfiltering/run_all.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bash step1_score_ifd.sh         # scores.jsonl     IFD of every row
bash step2_attach_scores.sh     # with_ifd.json    the rows with their scores
bash step3_select.sh            # selected.json    the best 10 %; random.json and longest.json to compare with
bash step3_select_diverse.sh    # diverse.json     2 %, difficult and diverse
bash report_selection.sh        # report.html      what is kept and dropped
