#!/usr/bin/env bash
# edu_filter step 6: shares of domains and use cases, with the released script's flags.
#   bash edu_filter/step6_plot_labels.sh -b results/labels -o results/plots
#     -b folder of the label files     -o output folder     -- more for step6_plot_labels.py
# PAPER_EXACT=1: one run a file at any depth, names cut at blanks, and one of the folder, as in the released script.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common/launch.sh"

BASE='' OUT=''
while getopts b:o: flag; do
    case $flag in
        b) BASE=$OPTARG ;; o) OUT=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [[ -z $BASE || -z $OUT ]]; then
    echo "step6_plot_labels.sh: give -b FOLDER and -o FOLDER" >&2
    exit 1
fi

plot() { run python "$ROOT/edu_filter/step6_plot_labels.py" --result_path "$1" --output_dir "$OUT" "${@:2}"; }

if [[ ${PAPER_EXACT:-} == 1 ]]; then
    # shellcheck disable=SC2044 # names are cut at blanks on purpose
    for file in $(find "$BASE" -name 'usecasesdomains_*.json'); do
        plot "$file" --paper_exact "$@" || echo "$file: failed" >&2
    done
    plot "$BASE" --paper_exact "$@"
else
    plot "$BASE" "$@"
fi
