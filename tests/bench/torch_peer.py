"""The bundled models in PyTorch, for training.py: eager, on the processor, a thread a process.

    torch_peer.py RANK PROCESSES STORE      STORE: a file through which the processes find each other

Each line on standard input is a case (model, data, batch, steps, warm); rank 0 answers with a line:
samples_per_s by the median of the steps after the first `warm`, and the loss at the beginning and at
the end.
Several processes train with DistributedDataParallel over gloo.
"""
import gzip
import json
import os
import statistics
import sys
import time
from collections import Counter

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

RANK, PROCESSES = int(sys.argv[1]), int(sys.argv[2])
WIDTH, LENGTH_MAX, STEPS_OF = 128, 64, 4  # as muster-ml: texts are padded to a multiple of 4


def whole(folder, name):
    path = os.path.join(folder, name)
    with gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb") as f:
        return f.read()


def idx(folder, name, header):
    return np.frombuffer(whole(folder, name), dtype=np.uint8, offset=header)


class Images:
    """All of them as normalised float32, in memory."""

    def __init__(self, folder):
        pixels = torch.from_numpy(idx(folder, "train-images-idx3-ubyte", 16).astype(np.float32))
        self.x = ((pixels - pixels.mean()) / pixels.std()).reshape(-1, 1, 28, 28)
        self.labels = torch.from_numpy(idx(folder, "train-labels-idx1-ubyte", 8).astype(np.int64))
        self.vocabulary = 0

    def batch(self, rows):
        return (self.x[rows],), self.labels[rows]


class Texts:
    """Ids of characters that occur twice; 0 fills up, 1 is any other."""

    def __init__(self, folder):
        texts, labels = [], []
        for line in whole(folder, "train.txt").decode().split("\n"):
            text, _, label = line.rpartition("\t")
            if text.strip():
                texts.append(text)
                labels.append(int(label))
        seen = Counter("".join(texts))
        ids = {c: i + 2 for i, (c, n) in enumerate(seen.most_common(20000 - 2)) if n > 1}
        self.vocabulary = len(ids) + 2
        self.lengths = torch.tensor([min(len(t), LENGTH_MAX) for t in texts])
        self.ids = torch.zeros(len(texts), LENGTH_MAX, dtype=torch.int64)
        for i, text in enumerate(texts):
            for k, c in enumerate(text[:LENGTH_MAX]):
                self.ids[i, k] = ids.get(c, 1)
        self.labels = torch.tensor(labels)

    def batch(self, rows):
        lengths = self.lengths[rows]
        steps = -(-int(lengths.max()) // STEPS_OF) * STEPS_OF
        return (self.ids[rows, :steps].t(), lengths), self.labels[rows]


class Lstm(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH, padding_idx=0)
        self.lstm = nn.LSTM(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, 3)

    def forward(self, ids, lengths):
        states, _ = self.lstm(self.embedding(ids))
        after = torch.arange(len(ids)).unsqueeze(1) >= lengths.unsqueeze(0)
        return self.out(states.masked_fill(after.unsqueeze(2), float("-inf")).max(0).values)


def make(model, vocabulary):
    if model == "lstm":
        return Lstm(vocabulary)
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 10))


def train(case, data):
    torch.manual_seed(1)
    model = make(case["model"], data.vocabulary)
    if PROCESSES > 1:
        model = nn.parallel.DistributedDataParallel(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.002, fused=True)
    criterion = nn.CrossEntropyLoss()
    count, batch = len(data.labels), case["batch"]
    order, part = torch.randperm(count), batch // PROCESSES
    losses, took = [], []
    for step in range(case["warm"] + case["steps"]):
        begun = time.perf_counter()
        first = step * batch % (count - batch) + RANK * part
        x, labels = data.batch(order[first:first + part])
        optimiser.zero_grad()
        loss = criterion(model(*x), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        took.append(time.perf_counter() - begun)
    few = max(1, len(losses) // 10)
    return {"samples_per_s": batch / statistics.median(took[case["warm"]:]),
            "losses": [sum(losses[:few]) / few, sum(losses[-few:]) / few],
            "version": torch.__version__, "config": torch.__config__.show()}


def main():
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    if PROCESSES > 1:
        dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=RANK,
                                world_size=PROCESSES)
    kept = {}
    for line in sys.stdin:
        case = json.loads(line)
        if case["data"] not in kept:
            kept[case["data"]] = (Texts if case["model"] == "lstm" else Images)(case["data"])
        answer = train(case, kept[case["data"]])
        if RANK == 0:
            print(json.dumps(answer), flush=True)
    if PROCESSES > 1:
        dist.destroy_process_group()


main()
