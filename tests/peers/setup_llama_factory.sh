#!/usr/bin/env bash
# Build .venv-llamafactory in the repository root: LLaMA-Factory, which wants older libraries than ours, for the peers
# tests. Two minutes; a second start adds nothing.
#   bash tests/peers/setup_llama_factory.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/peers/uv.sh

VENV=$PWD/.venv-llamafactory
VERSION=0.9.5
DONE=$VENV/installed-$VERSION
[[ -e $DONE ]] && exit 0

make_venv "$VENV"
# For pictures, sound, the web page and other hubs: texts need none of them.
overrides "$VENV" torchvision torchaudio gradio modelscope av hf-transfer
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --override "$VENV/overrides.txt" \
    "llamafactory==$VERSION" "$(grep '^torch==' constraints.txt)" "transformers==5.6.0"
# It imports torchaudio at its start, which has no build beside this torch, and calls it for sound alone.
touch "$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torchaudio.py"
touch "$DONE"
