#!/usr/bin/env bash
# A crawl into a model that follows instructions: edu_filter keeps the pages worth reading, webr rebuilds them into
# requests and responses, superfiltering picks those that teach most, a model is trained on them. Interrupted, the same
# command goes on; each folder of $OUT is one method's, with its report.
#   DATA='crawl/*.parquet' bash recipes/crawl_to_sft.sh                  # 8 GPUs; rows {"webpage": "..."}
#   DATA=webr/sample/pages.jsonl OUT=/tmp/crawl MODEL=stand-in NUM_GPUS=0 BASE=small_model SCORER=small_model \
#       bash recipes/crawl_to_sft.sh        # on a CPU, with OPENAI_BASE_URL and a small model of yours
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh
source common/training/launch.sh

DATA=${DATA:-data/crawl}
OUT=${OUT:-results/crawl_to_sft}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}      # rates pages, writes requests and responses
ENCODER=${ENCODER:-Snowflake/snowflake-arctic-embed-m}    # under the filter's head
SCORER=${SCORER:-gpt2}                                    # of superfiltering
BASE=${BASE:-meta-llama/Meta-Llama-3-8B}                  # is trained; its tokenizer tells near-duplicates in webr
NUM_GPUS=${NUM_GPUS:-8}
RATED=${RATED:-20000}             # pages that MODEL rates; the head learns from them and scores the rest
KEEP=${KEEP:---score 3}           # pages that go on: --score 3, --keep_share 0.2 …
SAMPLE_RATE=${SAMPLE_RATE:-0.5}   # of the pairs, the best are trained on
read -ra KEEP <<<"$KEEP"
read -ra HEAD <<<"${HEAD_FLAGS:-}"   # more for the head: --pooling mean --learning_rate 1e-3
read -ra ASK <<<"${ASK_FLAGS:-}"     # more for the steps that ask: --max_tokens 512
read -ra TRAIN <<<"${TRAIN_FLAGS:-}" # more for the training: --max_steps 100

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-4}" --data_parallel "${DATA_PARALLEL:-2}"

# 1. The pages worth reading: a sample is rated, a head on a frozen encoder learns it and scores them all.
TO=$OUT/1_edu_filter
run python edu_filter/step1_rate.py --dataset_path "$DATA" --text_column webpage --output_path "$TO/ratings.jsonl" \
    --sample_num "$RATED" --model "$MODEL" "${ASK[@]}"
run python edu_filter/step2_train_head.py --json_file "$TO/ratings.jsonl" --text_column webpage \
    --checkpoint_dir "$TO/head" --base_model "$ENCODER" "${HEAD[@]}"
run python edu_filter/step3_score_corpus.py --model_path "$TO/head/model" --dataset "$DATA" --text_column webpage \
    --output_dir "$TO/scored" --num_gpus "$NUM_GPUS"
run python edu_filter/step4_filter.py --dataset_path "$TO/scored" --output_path "$TO/kept.jsonl" "${KEEP[@]}"
run python edu_filter/write_report.py --folder "$TO" --text_column webpage --save_path "$TO/report.html"

# 2. Requests and responses out of them.
run env DATA="$TO/kept.jsonl" OUT="$OUT/2_webr" MODEL="$MODEL" TOKENIZER="$BASE" bash webr/run_all.sh "${ASK[@]}"

# 3. The pairs whose request helps a small model most with the response; as many random ones to compare with.
TO=$OUT/3_superfiltering
run python superfiltering/step1_score_ifd.py --data_path "$OUT/2_webr/data/webr.jsonl" --save_path "$TO/scores.jsonl" \
    --model_name_or_path "$SCORER" --num_gpus "$NUM_GPUS"
run python superfiltering/step2_attach_scores.py --pt_data_path "$TO/scores.jsonl" \
    --json_data_path "$OUT/2_webr/data/webr.jsonl" --json_save_path "$TO/with_ifd.jsonl"
run python superfiltering/step3_select.py --json_data_path "$TO/with_ifd.jsonl" --json_save_path "$TO/selected.jsonl" \
    --sample_rate "$SAMPLE_RATE" --random_baseline "$TO/random.jsonl"
run python superfiltering/report_selection.py --json_data_path "$TO/with_ifd.jsonl" --sample_rate "$SAMPLE_RATE" \
    --save_path "$TO/report.html"

# 4. The model.
finetune webr/train.yaml --data_path "$TO/selected.jsonl" --model_name_or_path "$BASE" --output_dir "$OUT/4_model" \
    "${TRAIN[@]}"
