#!/usr/bin/env python3
"""The same seed and number of tasks give the same parameters, bit for bit; two tasks follow the loss
of one."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Tap, processes

tap = Tap()
ML = os.path.join(BIN, "muster-ml")
STEPS = 50


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def make_images(folder):
    """Ten patterns under noise; every eighth label is wrong, so that the loss stays a number."""
    rng = random.Random(1)
    patterns = [rng.randbytes(784) for _ in range(10)]
    for part, count in (("train", 32 * STEPS), ("t10k", 100)):
        pixels, labels = bytearray(), bytearray()
        for i in range(count):
            noise = rng.randbytes(784)
            pixels += bytes((3 * n + p) // 4 for n, p in zip(noise, patterns[i % 10]))
            labels.append(rng.randrange(10) if i % 8 == 0 else i % 10)
        write(folder, f"{part}-images-idx3-ubyte", struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        write(folder, f"{part}-labels-idx1-ubyte", struct.pack(">II", 0x801, count) + labels)


def make_texts(folder):
    """Texts of one to forty characters out of 300; a class prefers a third of them."""
    rng = random.Random(2)
    for part, count in (("train", 32 * STEPS), ("test", 100)):
        lines = []
        for i in range(count):
            text = "".join(chr(0x4e00 + (rng.randrange(100) * 3 + i % 3 if rng.randrange(2) == 0
                                         else rng.randrange(300)))
                           for _ in range(rng.randrange(1, 41)))
            lines.append(f"{text}\t{rng.randrange(3) if i % 8 == 0 else i % 3}\n")
        write(folder, part + ".txt", "".join(lines).encode())


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
    images, texts, model_file = (os.path.join(folder, x) for x in ("images", "texts", "model"))
    os.mkdir(images)
    os.mkdir(texts)
    make_images(images)
    make_texts(texts)
    compare("mlp", images, model_file)
    compare("cnn", images, model_file)
    compare("lstm", texts, model_file)
    tap.equal(processes(ML, folder), [], "no process is left")
finally:
    shutil.rmtree(folder)
tap.done()
