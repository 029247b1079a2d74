#!/usr/bin/env bash
# The arms of the cure study two decades further, on one GPU, in nine minutes.
#
#   bash studies/cure/gpu.sh pack      here, on any machine: writes cure-gpu.tar.gz, less than 64 MiB
#   bash studies/cure/gpu.sh run       on the machine with the GPU, in the folder where the tar was unpacked
#   bash studies/cure/gpu.sh run STUDY.toml    another study, such as a small one to try the script
#
# `pack` takes the code and the prepared text. `run` needs Python 3.11 with torch, numpy, pydantic and rich; it plans
# (and so times the GPU), trains many runs side by side, stops after SECONDS_LIMIT (default 510), and collects what has
# finished into out/cure-gpu/runs.jsonl. Run again it continues where it stopped. Copy runs.jsonl and the manifests of
# corpus/ and tokens/ back, and `bytegap fit` and `bytegap report` need no GPU.
set -euo pipefail

limit=${SECONDS_LIMIT:-510}
study=${2:-studies/cure/gpu.toml}
name=$(sed -n 's/^name = "\(.*\)".*/\1/p' "$study" | head -1)
export PYTHONPATH=$PWD/src
bytegap() { "${PYTHON:-python3}" -m bytegap "$@"; }

case ${1:-} in
pack)
  bytegap corpus "$study"
  bytegap tokenize "$study"
  tar -czf cure-gpu.tar.gz src studies/cure "$study" "out/$name/corpus" "out/$name/tokens"
  size=$(stat -c %s cure-gpu.tar.gz)
  echo "cure-gpu.tar.gz: $((size >> 20)) MiB"
  [ "$size" -lt $((64 << 20)) ] || { echo "more than 64 MiB: take a smaller text" >&2; exit 2; }
  ;;
run)
  end=$((SECONDS + limit))
  bytegap plan "$study"
  status=0
  timeout --signal TERM --kill-after 20 $((end - SECONDS)) "${PYTHON:-python3}" -m bytegap train "$study" || status=$?
  if [ "$status" -eq 124 ]; then
    echo "stopped after $limit s: what has finished counts" >&2
  elif [ "$status" -ne 0 ]; then
    exit "$status"
  fi
  bytegap collect "$study"
  ;;
*)
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
