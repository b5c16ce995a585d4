#!/usr/bin/env python3
"""The same seed and number of tasks give the same parameters, bit for bit; two tasks follow the loss
of one."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Tap, processes
from samples import make_images, make_texts

tap = Tap()
ML = os.path.join(BIN, "muster-ml")
STEPS = 50


def train(tasks, model, data, save):
    """The losses of the steps, and the parameters as the file that holds them."""
    command = [ML, "train", "--model", model, "--data", data, "--steps", str(STEPS), "--log", "json",
               "--threads", "1", "--save", save]
    if tasks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(tasks), *command]
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env,
                         stdin=subprocess.DEVNULL)
    if run.returncode:
        print("".join(f"# {x}\n" for x in run.stderr.splitlines()), flush=True)
        return [], b""
    with open(save, "rb") as f:
        return [json.loads(x)["loss"] for x in run.stdout.splitlines() if x.startswith('{"step"')], f.read()


def compare(model, data, save):
    losses = {}
    for tasks in (1, 2):
        first, again = train(tasks, model, data, save), train(tasks, model, data, save)
        losses[tasks] = first[0]
        tap.ok(len(first[0]) == STEPS and first == again,
               f"{model}, {tasks} task{'s' * (tasks > 1)}: the same parameters twice, bit for bit")
    worst = max((abs(a - b) / a for a, b in zip(losses[1], losses[2])), default=1)
    tap.ok(worst < 1e-4, f"{model}: 2 tasks follow the loss of 1 for {STEPS} steps ({worst:.1e})",
           losses)
    tap.ok(sum(losses[1][-10:]) < 0.9 * sum(losses[1][:10]), f"{model}: which falls", losses[1])


if not shutil.which("mpirun"):
    print("1..0 # SKIP there is no mpirun")
    sys.exit(0)
folder = tempfile.mkdtemp(prefix="mt.", dir="/tmp")
try:
    images = make_images(os.path.join(folder, "images"), 32 * STEPS, 100)
    texts = make_texts(os.path.join(folder, "texts"), 32 * STEPS, 100)
    model_file = os.path.join(folder, "model")
    compare("mlp", images, model_file)
    compare("cnn", images, model_file)
    compare("lstm", texts, model_file)
    tap.equal(processes(ML, folder), [], "no process is left")
finally:
    shutil.rmtree(folder)
tap.done()
