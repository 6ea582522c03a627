#!/bin/bash
# Whether every model of models.config is served: bash ready.sh [models.config [port]]
#
# The state of each is read, because TF Serving answers with 200 while a model is still loading.
# Only what the official image holds is used: it has neither curl nor Python.
config="${1:-/models/models.config}"
port="${2:-8501}"
names=$(grep -v '^ *#' "$config" | grep -oE '\bname *: *"[^"]+"' | cut -d '"' -f 2)
[ -n "$names" ] || { echo "$config names no model"; exit 1; }
while IFS= read -r name; do
    exec 3<> "/dev/tcp/127.0.0.1/$port" || exit 1
    printf 'GET /v1/models/%s HTTP/1.0\r\n\r\n' "$name" >&3
    grep -q '"AVAILABLE"' <&3 || { echo "$name is not available"; exit 1; }
    exec 3>&-
done <<< "$names"
