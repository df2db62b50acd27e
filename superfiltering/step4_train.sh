#!/usr/bin/env bash
# Superfiltering, afterwards: fine-tune on the selected rows. LLaMA2-7B on 10 % of Alpaca: 123 steps on 8 x 80 GB.
#   bash superfiltering/step4_train.sh
#   DATA=random.json OUTPUT_DIR=results/superfiltering/random_model bash superfiltering/step4_train.sh   # to compare
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source common/training/launch.sh

DATA=${DATA:-results/superfiltering/selected.json}
MODEL=${MODEL:-meta-llama/Llama-2-7b-hf}
OUTPUT_DIR=${OUTPUT_DIR:-results/superfiltering/model}

finetune superfiltering/train.yaml --data_path "$DATA" --model_name_or_path "$MODEL" --output_dir "$OUTPUT_DIR" "$@"
