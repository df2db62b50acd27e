#!/usr/bin/env bash
# Documents of yours into a model that knows them: augcon asks about them at every level of detail and answers,
# superfiltering picks the pairs that teach most, a model is trained on them. Interrupted, the same command goes on; each
# folder of $OUT is one method's, with its report.
#   DATA=handbook.jsonl EXAMPLES=mine.jsonl bash recipes/documents_to_sft.sh      # 8 GPUs; rows {"article": "..."}
#   DATA=augcon/sample/articles.jsonl OUT=/tmp/documents MODEL=stand-in NUM_GPUS=0 BASE=small_model SCORER=small_model \
#       RANK_BY=judge bash recipes/documents_to_sft.sh   # on a CPU, with OPENAI_BASE_URL and a small model of yours
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh
source common/training/launch.sh

export DATA=${DATA:-data/documents.jsonl}
RESULTS=${OUT:-results/documents_to_sft}
export MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}                       # asks and answers
export EXAMPLES=${EXAMPLES:-augcon/sample/qa_examples.jsonl}       # 5 to 10 pairs of the kind that is wanted
export RANK_BY=${RANK_BY:-scorer}                                  # or judge, random: without training a scorer
export NUM_GPUS=${NUM_GPUS:-8}
RANKER=${RANKER:-$MODEL}          # is trained to rank the questions
SCORER=${SCORER:-gpt2}            # of superfiltering
BASE=${BASE:-Qwen/Qwen1.5-7B-Chat} # is trained in the end
SAMPLE_RATE=${SAMPLE_RATE:-0.5}   # of the pairs, the best are trained on
API=${API:-completions}           # of the trees; chat where the server has no completions
read -ra ASK <<<"${ASK_FLAGS:-}"     # more for the steps that ask: --max_tokens 512
read -ra TRAIN <<<"${TRAIN_FLAGS:-}" # more for the training: --max_steps 100

# 1. Questions by context-split trees; the best that do not repeat one another; an answer to each from its own context.
# Each step starts and stops its own server, because the scorer's training needs the GPUs.
export OUT=$RESULTS/1_augcon
run bash augcon/step1_generate_questions.sh --api "$API" "${ASK[@]}"
[[ $RANK_BY != scorer ]] || run env MODEL="$RANKER" CONFIG="${RANKER_CONFIG:-augcon/train_scorer.yaml}" \
    bash augcon/step2_train_scorer.sh
run bash augcon/step3_rank_and_filter.sh
run bash augcon/step4_answer.sh --messages "${ASK[@]}"

# 2. The pairs whose question helps a small model most with the answer; as many random ones to compare with.
TO=$RESULTS/2_superfiltering
run python superfiltering/step1_score_ifd.py --data_path "$OUT/sft.jsonl" --save_path "$TO/scores.jsonl" \
    --model_name_or_path "$SCORER" --num_gpus "$NUM_GPUS"
run python superfiltering/step2_attach_scores.py --pt_data_path "$TO/scores.jsonl" --json_data_path "$OUT/sft.jsonl" \
    --json_save_path "$TO/with_ifd.jsonl"
run python superfiltering/step3_select.py --json_data_path "$TO/with_ifd.jsonl" --json_save_path "$TO/selected.jsonl" \
    --sample_rate "$SAMPLE_RATE" --random_baseline "$TO/random.jsonl"
run python superfiltering/report_selection.py --json_data_path "$TO/with_ifd.jsonl" --sample_rate "$SAMPLE_RATE" \
    --save_path "$TO/report.html"

# 3. The model.
finetune superfiltering/train.yaml --data_path "$TO/selected.jsonl" --model_name_or_path "$BASE" \
    --output_dir "$RESULTS/3_model" "${TRAIN[@]}"
