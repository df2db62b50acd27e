#!/usr/bin/env bash
# Write an address to a file for as long as this runs: what serve.sbatch does once its server answers.
#   bash common/slurm/announce.sh http://node7:8000/v1 results/servers/12_0.url
set -euo pipefail
trap 'rm -f "$2"' EXIT
trap 'exit 143' TERM INT HUP
echo "$1" >"$2.part" && mv "$2.part" "$2" # whole or not at all: others read it at any moment
sleep infinity &
wait $!
