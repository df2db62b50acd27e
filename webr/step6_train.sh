#!/usr/bin/env bash
# WebR step 6: instruction tuning on the data of step 5. The paper: 4 x A800 80 GB, Llama3-8B in about 9 hours.
#   bash webr/step6_train.sh
#   MODEL=Qwen/Qwen2.5-7B NUM_GPUS=8 bash webr/step6_train.sh   |   HOSTFILE=hosts.txt bash …   |   bash … --lora_r 16
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source common/training/launch.sh

DATA=${DATA:-results/webr/data/webr.parquet}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-8B}
NUM_GPUS=${NUM_GPUS:-4}
OUTPUT_DIR=${OUTPUT_DIR:-results/webr/model}

finetune webr/train.yaml --data_path "$DATA" --model_name_or_path "$MODEL" --output_dir "$OUTPUT_DIR" "$@"
