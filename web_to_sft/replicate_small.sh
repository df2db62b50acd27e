#!/usr/bin/env bash
# The paper in miniature: noisy synthetic problems with known truth, a small transformer trained from scratch as converter;
# how much comes back exactly, and with the right answer: raw, by rules, by the converter. Mean and spread over seeds.
#   bash web_to_sft/replicate_small.sh                 # with a GPU: 3 seeds, 4,000 steps each
#   SHORT=1 bash web_to_sft/replicate_small.sh         # a CPU, about 4 minutes a core and seed: 2 seeds, 800 steps
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SHORT=${SHORT:-}
SEEDS=${SEEDS:-$([[ $SHORT ]] && echo "1 2" || echo "1 2 3")}
STEPS=${STEPS:-$([[ $SHORT ]] && echo 800 || echo 4000)}
ROWS=${ROWS:-$([[ $SHORT ]] && echo 4000 || echo 30000)}
BATCH=${BATCH:-$([[ $SHORT ]] && echo 16 || echo 64)}
HIDDEN=${HIDDEN:-$([[ $SHORT ]] && echo 128 || echo 256)}
LAYERS=${LAYERS:-$([[ $SHORT ]] && echo 3 || echo 6)}
OUT=${OUT:-results/web_to_sft/small${SHORT:+_short}}

SCORES=()
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
    run python common/training/small_model.py --data_path "$dir/web.jsonl" "$dir/clean.jsonl" "$dir/converter.jsonl" \
        --hidden "$HIDDEN" --layers "$LAYERS" --seed "$seed" --save_path "$dir/start"
    run python common/training/finetune.py --data_path "$dir/converter.jsonl" --model_name_or_path "$dir/start" \
        --output_dir "$dir/converter" --per_device_train_batch_size "$BATCH" --max_steps "$STEPS" \
        --learning_rate 2e-3 --lr_scheduler_type cosine --adam_beta2 0.98 --weight_decay 0.01 --warmup_steps 0.05 \
        --no_gradient_checkpointing --seed "$seed"
    run python web_to_sft/score_small.py --data_path "$dir/test.jsonl" --model_name_or_path "$dir/converter" \
        --prompt_path "$dir/prompt.txt" --save_path "$dir/scores.json"
    SCORES+=("$dir/scores.json")
done
run python web_to_sft/score_small.py --table "${SCORES[@]}"
