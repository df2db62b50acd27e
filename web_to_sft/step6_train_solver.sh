#!/usr/bin/env bash
# web_to_sft step 6: fine-tune the model that solves problems, from the same start as the converter, on clean and
# converted rows together (step 5 with --add_path). 8 x A800 80 GB, 3 epochs, the settings of step 3.
#   bash web_to_sft/step6_train_solver.sh data/solver.jsonl instruction output checkpoints Qwen/Qwen1.5-7B-Chat
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export OUTPUT_DIR=${OUTPUT_DIR:-results/web_to_sft/solver_model}
export CONFIG=${CONFIG:-web_to_sft/train_solver.yaml}
exec bash web_to_sft/step3_train_converter.sh "${1:-data/solver.jsonl}" "${@:2}"
