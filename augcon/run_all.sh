#!/usr/bin/env bash
# AugCon, whole: a corpus in, a model out that knows it. 8 x A800 80 GB; each step starts and stops its own server,
# because training needs the GPUs. Interrupted, the same command goes on.
#   bash augcon/run_all.sh                                              # DailyM with Qwen1.5-32B-Chat
#   DATA=articles.jsonl EXAMPLES=mine.jsonl OUT=results/mine MODEL=meta-llama/Meta-Llama-3-70B-Instruct bash augcon/run_all.sh
#   OPENAI_BASE_URL=… MODEL=gpt-4o-mini API=chat RANK_BY=judge TRAIN=0 bash augcon/run_all.sh    # training data alone, no GPU
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

export DATA=${DATA:-DailyM} # a folder with the column article, or rows {"article": "..."}
export OUT=${OUT:-results/augcon}
export MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}
export EXAMPLES=${EXAMPLES:-augcon/sample/qa_examples.jsonl}
export QUESTIONS=${QUESTIONS:-$DATA} # the test questions: DailyM's split test
export RANK_BY=${RANK_BY:-scorer}          # or judge, random: without step 2
export NUM_GPUS=${NUM_GPUS:-8}
API=${API:-completions} # of the trees; chat where the server has no completions
ROUNDS=${ROUNDS:-3}     # of further trees for the texts that have fewer questions than their quota
TRAIN=${TRAIN:-1}       # 0: end with the training data
read -ra ASK <<<"${ASK_FLAGS:-}"    # more for the steps that ask: --max_tokens 512
read -ra TREES <<<"${TREE_FLAGS:-}" # more for step 1 alone: --character_per_piece 50

# Questions at every level of detail, by context-split trees; worse questions for the scorer to learn from.
run bash augcon/step1_generate_questions.sh --api "$API" "${ASK[@]}" "${TREES[@]}"
# The scorer: good questions against worse ones.
[[ $RANK_BY != scorer ]] || run env MODEL="${SCORER_MODEL:-$MODEL}" CONFIG="${SCORER_CONFIG:-augcon/train_scorer.yaml}" \
    bash augcon/step2_train_scorer.sh
# Of each text the best questions that do not repeat one another, one for 35 characters.
run bash augcon/step3_rank_and_filter.sh
# Where that leaves too few: one tree more, ranked and filtered again.
for ((round = 1; round <= ROUNDS; round++)); do
    [[ -s $OUT/filtered.short.jsonl ]] || break
    run bash augcon/step1_generate_questions.sh --api "$API" --short_path "$OUT/filtered.short.jsonl" "${ASK[@]}" \
        "${TREES[@]}"
    run bash augcon/step3_rank_and_filter.sh
done
# An answer to each, from its own context, in the manner of the examples.
run bash augcon/step4_answer.sh "${ASK[@]}"
run python augcon/write_report.py --folder "$OUT" --save_path "$OUT/report.html"
[[ $TRAIN == 1 ]] || exit 0
# The model learns them without the contexts; the adapter is merged; what it says to the test questions.
run env DATA="$OUT/sft.jsonl" bash augcon/step5_finetune.sh
run bash augcon/step6_merge.sh
run env MODEL="$OUT/sft_model" bash augcon/step7_infer.sh
