#!/bin/bash
#SBATCH --gres=gpu:1
# A job a model (`coreheads models of CONFIG | wc -l` counts them), then one board of all:
#   jobs=$(sbatch --parsable --array=0-4 slurm.sh paper runs/paper --device cuda --data-root /data)
#   sbatch --gres=none --dependency=afterany:$jobs slurm.sh paper runs/paper
set -eu
config=$1 out=$2 number=${SLURM_ARRAY_TASK_ID-}
[ "$number" ] || exec coreheads leaderboard "$out"/[0-9]*/ --out "$out/board"
mapfile -t models < <(coreheads models of "$config")
name=$(printf %02d "$number")-${models[$number]##*/}
coreheads run "$config" --only "model=${models[$number]}" --out "$out/$name" "${@:3}"
