#!/usr/bin/env bash
# web_to_sft step 3: fine-tune the model that rewrites crawled problems. The paper: 8 x A800 80 GB, 3 epochs.
#   bash web_to_sft/step3_train_converter.sh data/converter.jsonl instruction output checkpoints Qwen/Qwen1.5-7B-Chat
#   NUM_GPUS=2 bash web_to_sft/step3_train_converter.sh … --lora_rank 16   |   HOSTFILE=hosts.txt bash …
# Arguments as in the released launchers: <data> <prompt key> <response key> <folder of models> <model>; more goes to
# common/training/finetune.py. <folder of models>/<model> is read if it exists, else <model> is a name to load.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${1:-data/converter.jsonl}
PROMPT_KEY=${2:-instruction}
RESPONSE_KEY=${3:-output}
MODEL_DIR=${4:-checkpoints}
MODEL=${5:-Qwen/Qwen1.5-7B-Chat}
shift $(($# < 5 ? $# : 5))
NUM_GPUS=${NUM_GPUS:-8}
OUTPUT_DIR=${OUTPUT_DIR:-results/web_to_sft/converter_model}
BASE=$MODEL
[[ ! -d $MODEL_DIR/$MODEL ]] || BASE=$MODEL_DIR/$MODEL

SETTINGS=() # the defaults of common/training/finetune.py are those of Qwen1.5-7B-Chat: lr 5e-6, 16 a GPU, cosine, warm-up 1 %
if [[ $MODEL == *chatglm2* ]]; then
    # ChatGLM2-6B is remote code, and runs only if you say TRUST_REMOTE_CODE=1. That code was written for transformers
    # 4.33, which this trainer no longer runs on: these are the paper's settings, not something that was run.
    SETTINGS=(--learning_rate 5e-5 --max_source_length 512 --max_target_length 512 --too_long cut)
    [[ ${TRUST_REMOTE_CODE:-} != 1 ]] || SETTINGS+=(--trust_remote_code)
fi
WHERE=(--num_gpus "$NUM_GPUS")
((NUM_GPUS >= 8)) || SETTINGS+=(--gradient_accumulation_steps $((8 / NUM_GPUS))) # the paper's batch of 128 on fewer
[[ -z ${HOSTFILE:-} ]] || WHERE=(--hostfile "$HOSTFILE")
WHERE+=(${MASTER_PORT:+--master_port "$MASTER_PORT"}) # two trainings on one machine need two

run deepspeed "${WHERE[@]}" common/training/finetune.py --data_path "$DATA" --prompt_key "$PROMPT_KEY" \
    --response_key "$RESPONSE_KEY" --model_name_or_path "$BASE" --output_dir "$OUTPUT_DIR" --deepspeed zero2 \
    "${SETTINGS[@]}" "$@"
