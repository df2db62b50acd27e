#!/usr/bin/env bash
# Superfiltering from instruction data to the subset to train on: minutes for Alpaca's 52,000 rows. Interrupted, the same
# command goes on.
#   bash superfiltering/run_all.sh                               # data/alpaca_data.json -> results/superfiltering/
#   DATA=mine.json OUT=results/mine MODEL=gpt2 NUM_GPUS=8 bash superfiltering/run_all.sh
# What follows the script's name goes to step 1: --start_token auto, --prompt chat. Training: step4_train.sh.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

DATA=${DATA:-data/alpaca_data.json}
OUT=${OUT:-results/superfiltering}
MODEL=${MODEL:-gpt2}              # 124M: in the paper it agrees with LLaMA2-7B's ranking (Spearman 0.68 on Alpaca)
SAMPLE_RATE=${SAMPLE_RATE:-0.1}   # the paper also trains on 5 and 15 %
EMB_MODEL=${EMB_MODEL:-sentence-transformers/all-MiniLM-L6-v2}
NUM_GPUS=${NUM_GPUS:-$(nvidia-smi -L 2>/dev/null | grep -c GPU || true)} # all of this machine

# How much each instruction helps the small model to predict its answer (IFD).
run python superfiltering/step1_score_ifd.py --data_path "$DATA" --save_path "$OUT/scores.jsonl" \
    --model_name_or_path "$MODEL" --num_gpus "$NUM_GPUS" "$@"
# The scores beside the rows.
run python superfiltering/step2_attach_scores.py --pt_data_path "$OUT/scores.jsonl" --json_data_path "$DATA" \
    --json_save_path "$OUT/with_ifd.json"
# The best 10 %; as many random rows and as many of the longest to compare with.
run python superfiltering/step3_select.py --json_data_path "$OUT/with_ifd.json" --json_save_path "$OUT/selected.json" \
    --sample_rate "$SAMPLE_RATE" --random_baseline "$OUT/random.json" --length_baseline "$OUT/longest.json"
run python -m common.dataset_card --method superfiltering --data_path "$OUT/selected.json"
# Superfiltering.D: 2 %, difficult and diverse.
run python superfiltering/step3_select_diverse.py --json_data_path "$OUT/with_ifd.json" \
    --json_save_path "$OUT/diverse.json" --emb_model "$EMB_MODEL"
run python superfiltering/report_selection.py --json_data_path "$OUT/with_ifd.json" --sample_rate "$SAMPLE_RATE" \
    --save_path "$OUT/report.html"
