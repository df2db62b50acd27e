#!/usr/bin/env bash
# edu_filter from documents to the kept part of a corpus, with a page of figures to choose the threshold by.
#   DATA=data/web bash edu_filter/run_all.sh                       # files of {"texto": "..."} -> results/edu_filter/
#   DATA='web/*.parquet' OUT=results/pt SAMPLE=20000 BASE_MODEL=BAAI/bge-m3 bash edu_filter/run_all.sh
# With OPENAI_BASE_URL set, that server rates; else Llama-3.1-70B on 8 GPUs does. Interrupted, the same command goes on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-data/web}
OUT=${OUT:-results/edu_filter}
MODEL=${MODEL:-meta-llama/Meta-Llama-3.1-70B-Instruct}
SAMPLE=${SAMPLE:-550000} # documents to rate
BASE_MODEL=${BASE_MODEL:-Snowflake/snowflake-arctic-embed-m}
NUM_GPUS=${NUM_GPUS:-$(nvidia-smi -L 2>/dev/null | grep -c GPU || true)}
LABELLED=${LABELLED:-1000}            # documents to label
read -ra ASK <<<"${ASK_FLAGS:-}"      # more for the steps that ask: --max_tokens 256
read -ra TRAIN <<<"${TRAIN_FLAGS:-}"  # more for step 2: --pooling mean --learning_rate 1e-3

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}" --enable-prefix-caching

# Ratings from 0 to 5 for a sample, and whether a second prompt agrees with the first.
run python edu_filter/step1_rate.py --dataset_path "$DATA" --output_path "$OUT/ratings.jsonl" --model "$MODEL" \
    --sample_num "$SAMPLE" "${ASK[@]}" "$@"
run python edu_filter/check_rater.py --data_path "$OUT/ratings.jsonl" --save_path "$OUT/agreement.jsonl" --model "$MODEL" \
    --sentinels "$OUT/sentinels" "${ASK[@]}"
# A head on a frozen encoder: figures, threshold curves, baselines.
run python edu_filter/step2_train_head.py --json_file "$OUT/ratings.jsonl" --checkpoint_dir "$OUT/head" \
    --base_model "$BASE_MODEL" "${TRAIN[@]}"
# Every document of the corpus.
run python edu_filter/step3_score_corpus.py --model_path "$OUT/head/model" --dataset "$DATA" --output_dir "$OUT/scored" \
    --num_gpus "$NUM_GPUS"
# Those of score 3 and more.
run python edu_filter/step4_filter.py --dataset_path "$OUT/scored" --output_path "$OUT/kept.jsonl" --score "${SCORE:-3}"
run python -m common.dataset_card --method edu_filter --data_path "$OUT/kept.jsonl"
# What they are about.
run python edu_filter/step5_label.py --dataset_path "$OUT/scored" --output_path "$OUT/labels/scored.jsonl" \
    --model "$MODEL" --sample_num "$LABELLED" "${ASK[@]}"
run python edu_filter/step6_plot_labels.py --result_path "$OUT/labels" --output_dir "$OUT/plots"
run python edu_filter/write_report.py --folder "$OUT" --save_path "$OUT/report.html"
