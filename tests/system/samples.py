"""Samples made from a seed, for tests that need no real ones: images of ten classes, texts of three.

Every eighth label is drawn at random, so that no model gets them all right and a loss stays a number.
"""
import os
import random
import struct


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def make_images(folder, train, test):
    """IDX files of 28 x 28: one of ten patterns under noise."""
    rng = random.Random(1)
    patterns = [rng.randbytes(784) for _ in range(10)]
    os.makedirs(folder, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels, labels = bytearray(), bytearray()
        for i in range(count):
            noise = rng.randbytes(784)
            pixels += bytes((3 * n + p) // 4 for n, p in zip(noise, patterns[i % 10]))
            labels.append(rng.randrange(10) if i % 8 == 0 else i % 10)
        write(folder, f"{part}-images-idx3-ubyte", struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        write(folder, f"{part}-labels-idx1-ubyte", struct.pack(">II", 0x801, count) + labels)
    return folder


def make_texts(folder, train, test, characters=300):
    """Lines of one to forty characters; a class prefers a third of them."""
    rng = random.Random(2)
    os.makedirs(folder, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        lines = []
        for i in range(count):
            text = "".join(chr(0x4e00 + (rng.randrange(characters // 3) * 3 + i % 3
                                         if rng.randrange(2) == 0 else rng.randrange(characters)))
                           for _ in range(rng.randrange(1, 41)))
            lines.append(f"{text}\t{rng.randrange(3) if i % 8 == 0 else i % 3}\n")
        write(folder, part + ".txt", "".join(lines).encode())
    return folder
