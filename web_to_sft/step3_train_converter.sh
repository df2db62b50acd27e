#!/usr/bin/env bash
# web_to_sft step 3: fine-tune the model that rewrites crawled problems. The paper: 8 x A800 80 GB, 3 epochs.
#   bash web_to_sft/step3_train_converter.sh data/converter.jsonl instruction output checkpoints Qwen/Qwen1.5-7B-Chat
#   NUM_GPUS=2 bash web_to_sft/step3_train_converter.sh … --lora_r 16   |   HOSTFILE=hosts.txt bash …
#   CONFIG=web_to_sft/train_paper_exact.yaml bash …                      # as released
# Arguments as in the released launchers: <data> <prompt key> <response key> <folder of models> <model>; more goes to
# common/training/finetune.py. <folder of models>/<model> is read if it exists, else <model> is a name to load.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh
source common/training/launch.sh

DATA=${1:-data/converter.jsonl}
PROMPT_KEY=${2:-instruction}
RESPONSE_KEY=${3:-output}
MODEL_DIR=${4:-checkpoints}
MODEL=${5:-Qwen/Qwen1.5-7B-Chat}
shift $(($# < 5 ? $# : 5))
OUTPUT_DIR=${OUTPUT_DIR:-results/web_to_sft/converter_model}
CONFIG=${CONFIG:-web_to_sft/train_converter.yaml}
[[ $MODEL != *chatglm2* ]] || CONFIG=web_to_sft/train_chatglm2.yaml # remote code: runs only with TRUST_REMOTE_CODE=1
[[ ! -d $MODEL_DIR/$MODEL ]] || MODEL=$MODEL_DIR/$MODEL

finetune "$CONFIG" --data_path "$DATA" --prompt_key "$PROMPT_KEY" --response_key "$RESPONSE_KEY" \
    --model_name_or_path "$MODEL" --output_dir "$OUTPUT_DIR" \
    ${TRUST_REMOTE_CODE:+--trust_remote_code "$TRUST_REMOTE_CODE"} "$@"
