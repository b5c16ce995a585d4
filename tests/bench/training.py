"""The part `training`: muster-ml beside PyTorch and beside what a matrix product reaches."""
import contextlib
import gzip
import json
import os
import signal
import statistics
import subprocess
import sys

from bench import HERE, TOP
from figures import Figure
from muster import BIN
from samples import make_images, make_texts

sys.path.insert(0, os.path.dirname(HERE))
from torch_env import python  # noqa: E402

FASHION = "/usr/share/datasets/fashion-mnist"
NEWS = os.path.join(TOP, "..", "shared", "data", "text", "news-zh-3")
WARM = 20
LENGTH_MAX = 64
# Floating point operations of a sample, forward and backward, a multiplication and an addition being
# two: thrice the forward pass, without the first layer's gradient of its input.
DENSE = 3 * 2 * 128 * 10
FLOP = {"mlp": 2 * 2 * 784 * 128 + DENSE,
        "cnn": 2 * 2 * 28 * 28 * 16 * 9 + 3 * 2 * 14 * 14 * 32 * 16 * 9 + 3 * 2 * 1568 * 128 + DENSE}
FLOP_TOKEN = 3 * 2 * (128 + 128) * 4 * 128  # of the lstm
# model, tasks, samples of a step: the default, and a batch that hides what a step costs by itself
CASES = [(model, tasks, 32) for tasks in (1, 2) for model in ("mlp", "cnn", "lstm")] + \
        [(model, 1, 256) for model in ("mlp", "cnn", "lstm")]
STEPS = {("mlp", 32): 1500, ("cnn", 32): 150, ("lstm", 32): 120,
         ("mlp", 256): 230, ("cnn", 256): 30, ("lstm", 256): 25}


def mean_tokens(folder):
    """Of a text, without what fills it up."""
    path = os.path.join(folder, "train.txt")
    with gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb") as f:
        texts = [line.rpartition("\t")[0] for line in f.read().decode(errors="replace").split("\n")]
    lengths = [min(len(t), LENGTH_MAX) for t in texts if t]
    return sum(lengths) / len(lengths)


class Peer:
    """PyTorch in as many processes as there are tasks, which wait for cases between the turns."""

    def __init__(self, bench, interpreter, tasks):
        store = os.path.join(bench.scratch, f"store{tasks}")
        env = dict(os.environ, OMP_NUM_THREADS="1")
        self.runs = [subprocess.Popen(
            [interpreter, os.path.join(HERE, "torch_peer.py"), str(rank), str(tasks), store],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
            start_new_session=True) for rank in range(tasks)]

    def close(self):
        for run in self.runs:
            with contextlib.suppress(OSError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()

    def train(self, case):
        for run in self.runs:
            run.stdin.write(json.dumps(case) + "\n")
            run.stdin.flush()
        line = self.runs[0].stdout.readline()
        if not line:
            raise RuntimeError("PyTorch ended early")
        return json.loads(line)


def falls(who, case, first, last):
    if not last < 0.97 * first:
        raise RuntimeError(f"{who} does not learn: {case}, loss {first:.3f} then {last:.3f}")


def train(bench, case, tasks):
    """muster-ml: samples a second, by the median of the steps after the first WARM."""
    command = [os.path.join(BIN, "muster-ml"), "train", "--model", case["model"], "--data",
               case["data"], "--batch", str(case["batch"]), "--steps",
               str(case["steps"] + WARM), "--threads", "1", "--log", "json", "--schedule", "constant"]
    if tasks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(tasks), *command]
    out = bench.finish(command, env={"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMP_NUM_THREADS": "1",
                                     "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
    steps = [json.loads(x) for x in out.splitlines() if x.startswith('{"step"')]
    few = max(1, len(steps) // 10)
    falls("muster-ml", case, sum(s["loss"] for s in steps[:few]) / few,
          sum(s["loss"] for s in steps[-few:]) / few)
    ms, exchange_ms = (statistics.median(s[k] for s in steps[WARM:]) for k in ("ms", "exchange_ms"))
    return case["batch"] * 1000 / ms, 100 * exchange_ms / ms


def gemm(bench, tasks):
    """GFLOP/s of as many loops at once as there are tasks, together."""
    loop = f"{os.path.join(bench.build, 'gemm')} {bench.size(0.3, 0.2)}"
    both = " ".join(f"{loop} &" for _ in range(tasks)) + " wait"
    return sum(json.loads(x)["gflop_per_s"] for x in bench.finish(["sh", "-c", both]).splitlines())


class Row:
    """The figures of one case."""

    def __init__(self, part, case):
        model, self.tasks, batch = case
        name = f"{model}, {self.tasks} task{'s' * (self.tasks > 1)}, batch {batch}"
        unit = "texts/s" if model == "lstm" else "images/s"
        self.torch = Figure(part, f"{name}: PyTorch", unit)
        self.rate = Figure(part, name, unit, self.torch)
        self.peak = Figure(part, f"sgemm beside {name}", "GFLOP/s")
        self.flop = Figure(part, f"{name}: its arithmetic", "GFLOP/s", self.peak)
        self.exposed = Figure(part, f"{name}: waits for the exchange", "% of a step")

    def figures(self):
        return [self.peak, self.torch, self.rate, self.flop] + ([self.exposed] if self.tasks > 1 else [])


def measure(bench, row, case, flop, peers):
    row.peak.add(gemm(bench, row.tasks))
    rate, exposed = train(bench, case, row.tasks)
    row.rate.add(rate)
    row.flop.add(rate * flop / 1e9)
    row.exposed.add(exposed)
    if not peers:
        return
    answer = peers[row.tasks].train(case)
    falls("PyTorch", case, *answer["losses"])
    row.torch.add(answer["samples_per_s"])
    bench.notes["pytorch"] = {"version": answer["version"], "config": answer["config"]}


def training(bench):
    """Training steps a second of the bundled models, beside PyTorch and a matrix product."""
    part = "training: a thread a task, beside PyTorch, eager, and sgemm of 1024 x 1024"
    images = FASHION if os.path.isdir(FASHION) else \
        make_images(os.path.join(bench.scratch, "images"), 10000, 100)
    texts = os.path.abspath(NEWS) if os.path.isdir(NEWS) else \
        make_texts(os.path.join(bench.scratch, "texts"), 10000, 100, 3000)
    flop = dict(FLOP, lstm=FLOP_TOKEN * mean_tokens(texts) + 3 * 2 * 128 * 3)
    rows = {case: Row(part, case) for case in CASES}
    interpreter = python()
    with contextlib.ExitStack() as stack:
        peers = {}
        for tasks in (1, 2) if interpreter else ():
            peers[tasks] = Peer(bench, interpreter, tasks)
            stack.callback(peers[tasks].close)
        for _ in range(bench.repetitions):
            for (model, _, batch), row in rows.items():
                steps = bench.size(STEPS[model, batch], STEPS[model, batch] // 2)
                case = {"model": model, "batch": batch, "steps": steps, "warm": WARM,
                        "data": texts if model == "lstm" else images}
                measure(bench, row, case, flop[model], peers)
    return [f for row in rows.values() for f in row.figures()]
