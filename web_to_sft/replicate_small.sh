#!/usr/bin/env bash
# The paper in miniature: noisy synthetic problems with known truth, a small transformer trained from scratch as converter;
# how much comes back exactly, and with the right answer: raw, by rules, by the converter. Mean and spread over seeds.
#   bash web_to_sft/replicate_small.sh                     # prints the table of the README
#   bash web_to_sft/replicate_small.sh --record            # and leaves it there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SEEDS=${SEEDS:-1 2 3}
ROWS=${ROWS:-4000}       # of the crawl; half as many are clean
STEPS=${STEPS:-500}      # that the converter is trained, 16 rows each
OUT=${OUT:-results/web_to_sft/small}

FIGURES=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run mkdir -p "$dir"
    # A short prompt: a model that starts from nothing need not read instructions.
    [[ ${DRY_RUN:-} == 1 ]] || printf '[题目]\n{question}\n[答案]\n{analysis}\n' >"$dir/prompt.txt"
    run python web_to_sft/small_world.py --save_path "$dir" --web_rows "$ROWS" --clean_rows $((ROWS / 2)) --seed "$seed"
    run python web_to_sft/step1_match_pairs.py --web_path "$dir/web.jsonl" --high_quality_path "$dir/clean.jsonl" \
        --save_path "$dir/pairs.jsonl"
    run python web_to_sft/step2_build_converter_data.py --pairs_path "$dir/pairs.jsonl" --web_path "$dir/web.jsonl" \
        --high_quality_path "$dir/clean.jsonl" --prompt_path "$dir/prompt.txt" --save_path "$dir/converter.jsonl"
    run python common/training/small_model.py --data_path "$dir"/{web,clean,converter}.jsonl --hidden 128 --layers 3 \
        --seed "$seed" --save_path "$dir/start"
    run python common/training/finetune.py --data_path "$dir/converter.jsonl" --model_name_or_path "$dir/start" \
        --output_dir "$dir/converter" --per_device_train_batch_size 16 --max_steps "$STEPS" --seed "$seed" \
        --learning_rate 2e-3 --lr_scheduler_type cosine --adam_beta2 0.98 --weight_decay 0.01 --warmup_steps 0.05 \
        --no_gradient_checkpointing --save_strategy no --logging_steps 100
    run python web_to_sft/score_small.py --data_path "$dir/test.jsonl" --model_name_or_path "$dir/converter" \
        --prompt_path "$dir/prompt.txt" --save_path "$dir/scores.json"
    FIGURES+=("$dir/scores.json")
done
# shellcheck disable=SC2086
run python common/report/replication.py --method web_to_sft --seeds $SEEDS --figures "${FIGURES[@]}" \
    --save_path "$OUT/replicate_small.json" --seconds "$SECONDS" --orders \
    "exact recovery: raw < rules < converter" "answer right: raw < rules < converter" "$@"
