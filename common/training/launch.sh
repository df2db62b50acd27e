# shellcheck shell=bash
# What the launchers of trainings source, behind common/launch.sh:
#   finetune METHOD/train.yaml --data_path … --model_name_or_path … --output_dir … "$@"
# on NUM_GPUS GPUs of this machine, or on the machines of HOSTFILE, which share a disk and trust each other's ssh;
# NUM_GPUS=0: in one process on the CPU, for small models.

finetune() {
    local config=$1 where=(--num_gpus "${NUM_GPUS:-8}")
    shift
    if [[ ${NUM_GPUS:-} == 0 ]]; then
        run python common/training/finetune.py --config "$config" --deepspeed none "$@"
        return
    fi
    [[ -z ${HOSTFILE:-} ]] || where=(--hostfile "$HOSTFILE")
    where+=(${MASTER_PORT:+--master_port "$MASTER_PORT"}) # two trainings on one machine need two
    run deepspeed "${where[@]}" common/training/finetune.py --config "$config" "$@"
}
