#!/usr/bin/env bash
# A private cluster of two nodes trains a network on Fashion-MNIST as a 2-task MPI job. Everything
# it makes lies in one directory and is removed at the end, also when it is interrupted.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
bin=$here/build/release
schedctl=$bin/schedctl
data=/usr/share/datasets/fashion-mnist
dir=
status=1

finish() {
    trap '' INT TERM HUP
    [ -n "$dir" ] || exit "$status"
    "$schedctl" cluster down --now >/dev/null 2>&1
    [ "$status" = 0 ] || tail -n 5 "$dir"/*.log >&2 2>/dev/null
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT
trap 'status=130; exit' INT TERM HUP

dir=$(mktemp -d "${TMPDIR:-/tmp}/muster-demo.XXXXXX") || exit
export MUSTER_HOME=$dir

say() { printf '\n== %s\n' "$*"; }

[ -d "$data" ] || { echo "demo: $data is missing. Run \`make deps\`." >&2; exit; }
say "a private cluster of two nodes in $dir"
"$schedctl" cluster up --nodes 2 --cpus 1 || exit
"$schedctl" nodes
say "training on Fashion-MNIST: 2 tasks on 2 nodes"
log=$dir/train.log
"$schedctl" run --name fashion-mnist -n 2 -N 2 --time 5m -- \
    "$bin/muster-ml" train --model cnn --data "$data" --epochs 2 --seed 1 </dev/null 2>&1 | tee "$log"
job_status=${PIPESTATUS[0]}
[ "$job_status" = 0 ] || { echo "demo: the training job failed with status $job_status" >&2; exit; }
say "what the cluster remembers of it"
"$schedctl" job events 1
"$schedctl" cluster down || exit
accuracy=$(grep -a -o 'test accuracy [0-9.]* %' "$log" | tail -n 1)
[ -n "$accuracy" ] || { echo "demo: the job printed no test accuracy" >&2; exit; }
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
