#!/usr/bin/env bash
# Two demonstrations on a private cluster of two nodes; everything it makes lies in one directory and
# is removed at the end, also when it is interrupted.
#
#   etc/demo.sh train     a network learns Fashion-MNIST as a 2-task MPI job
#   etc/demo.sh failure   a node is lost in the middle of a training, which goes on on the other
#   etc/demo.sh           both
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
bin=$here/build/release
schedctl=$bin/schedctl
data=/usr/share/datasets/fashion-mnist
dir=
lost= # the node that was killed: its agent clears away what was left there when it comes back
status=1

finish() {
    trap '' INT TERM HUP
    if [ -n "$dir" ]; then
        [ -z "$lost" ] || up >/dev/null 2>&1
        "$schedctl" cluster down --now >/dev/null 2>&1
        [ "$status" = 0 ] || tail -n 5 "$dir"/*.log >&2 2>/dev/null
        rm -rf "$dir"
    fi
    exit "$status"
}
trap finish EXIT
trap 'status=130; exit' INT TERM HUP

up() { "$schedctl" cluster up --nodes 2 --cpus 2; }

say() { printf '\n== %s\n' "$*"; }

fail() {
    echo "demo: $*" >&2
    exit
}

train() {
    say "training on Fashion-MNIST: 2 tasks on 2 nodes"
    "$schedctl" run --name fashion-mnist -n 2 -N 2 --time 5m -- \
        "$bin/muster-ml" train --model cnn --data "$data" --epochs 2 --seed 1 </dev/null 2>&1 |
        tee "$dir/train.log"
    [ "${PIPESTATUS[0]}" = 0 ] || fail "the training job failed"
    say "what the cluster remembers of it"
    "$schedctl" job events 1
    accuracy=$(grep -a -o 'test accuracy [0-9.]* %' "$dir/train.log" | tail -n 1)
    [ -n "$accuracy" ] || fail "the job printed no test accuracy"
}

# Kills what runs of node $1, as when its machine loses power: the tasks die with their shepherds.
power_off() {
    local pid words
    for pid in /proc/[0-9]*; do
        words=$(tr '\0' ' ' <"$pid/cmdline")
        case $words in
        *muster-agent*"$dir"*" $1 "* | *muster-shepherd*"$dir/nodes/$1"[/\ ]*) kill -9 "${pid#/proc/}" ;;
        esac
    done 2>/dev/null
}

# The step of the newest checkpoint; 0: there is none.
step() {
    local job attempt at
    { read -r job attempt at <"$dir/run/claim"; } 2>/dev/null && [ "$at" -gt 0 ] && echo "$at" || echo 0
}

failure() {
    local id node at deadline=$((SECONDS + 120))
    say "a training that keeps a checkpoint, and the loss of its node"
    id=$("$schedctl" submit --name survivor -n 2 --on-lost requeue:10s --time 5m -- \
        "$bin/muster-ml" train --model cnn --data "$data" --epochs 3 --seed 1 \
        --checkpoint "$dir/run" --checkpoint-every 1s) || fail "the submission failed"
    while at=$(step) && [ "$at" -lt 500 ]; do
        [ $SECONDS -lt $deadline ] || fail "no checkpoint came"
        read -r -t 0.2 <><(:) || :
    done
    node=$("$schedctl" job show "$id" -o json | grep -o '"nodes": *"[^"]*"' | cut -d'"' -f4)
    say "node $node loses power after step $at; job $id waits until its lease there has passed"
    lost=$node
    power_off "$node"
    "$schedctl" job wait "$id" --timeout 3m || fail "the job did not survive"
    "$schedctl" job events "$id" | tail -n 9
    "$schedctl" logs "$id" | grep -a -e '^resumed' -e '^epoch .* accuracy' -e '^test accuracy' |
        tee "$dir/survivor.log"
    grep -q '^resumed' "$dir/survivor.log" || fail "the job did not go on from its checkpoint"
    say "node $node comes back"
    up || fail "node $node did not come back"
    lost=
    accuracy=${accuracy:-$(tail -n 1 "$dir/survivor.log")}
}

[ -d "$data" ] || fail "$data is missing. Run \`make deps\`."
accuracy=
dir=$(mktemp -d "${TMPDIR:-/tmp}/muster-demo.XXXXXX") || exit
export MUSTER_HOME=$dir
say "a private cluster of two nodes in $dir"
up || exit
"$schedctl" nodes
for part in "${@:-all}"; do
    case $part in
    train) train ;;
    failure) failure ;;
    all) train && failure ;;
    *) fail "there is no demonstration \"$part\". There are train and failure." ;;
    esac
done
"$schedctl" cluster down || exit
status=0
cat <<END

Try next:
  export PATH=$bin:\$PATH MUSTER_HOME=\$HOME/muster
  schedctl cluster up --nodes 2 --cpus 2
  schedctl run -n 2 -N 2 -- muster-ml train --model cnn --epochs 5
  schedctl jobs --all; schedctl job events 1
  schedctl cluster down
$accuracy
END
