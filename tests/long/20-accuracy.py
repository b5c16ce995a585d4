#!/usr/bin/env python3
"""What a user may expect of muster-ml with its defaults: accuracies on public data sets, by two tasks
on two nodes of a private cluster."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from muster import BIN, TOP, Cluster, Tap, processes

tap = Tap()
ML = os.path.join(BIN, "muster-ml")
FASHION = "/usr/share/datasets/fashion-mnist"
MNIST = os.path.join(TOP, "..", "shared", "data", "images", "mnist")
NEWS = os.path.join(TOP, "..", "shared", "data", "text", "news-zh-3")
TIMEOUT_S = 900  # against a hang alone: the times are for the reader


def goal(c, what, model, data, epochs, least, missing):
    name = f"{what}, {model}, {epochs or 'the default'} epoch{'s' if epochs != 1 else ''}"
    if not os.path.isdir(data):
        tap.skip(name, missing)
        return
    options = ("--epochs", str(epochs)) if epochs else ()
    begin = time.monotonic()
    run = c.ctl("run", "-n", "2", "-N", "2", "--", ML, "train", "--model", model, "--data",
                os.path.abspath(data), "--log", "json", *options, timeout=TIMEOUT_S)
    took = time.monotonic() - begin
    try:
        accuracy = json.loads(run.stdout.strip().splitlines()[-1])["test_accuracy"]
    except (ValueError, KeyError, IndexError):
        accuracy = 0
    tap.ok(run.returncode == 0 and accuracy >= least,
           f"{name}: {accuracy:.1f} % of at least {least} %, {took:.0f} s", run.stdout[-500:] + run.stderr)


with Cluster(nodes=2, cpus=1) as c:
    for model_, epochs_, least_ in (("cnn", 1, 83), ("cnn", 5, 88)):
        goal(c, "Fashion-MNIST", model_, FASHION, epochs_, least_,
             "dataset-fashion-mnist is not installed")
    for model_, epochs_, least_ in (("mlp", 2, 97.5), ("cnn", 2, 98.5)):
        goal(c, "MNIST", model_, MNIST, epochs_, least_, "../shared/data/images is not there")
    goal(c, "news headlines of three classes", "lstm", NEWS, 0, 95, "../shared/data/text is not there")
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
