#!/usr/bin/env python3
"""muster-ml and what it cannot use: one message that says what, where and what to do, the documented
exit code; or it is skipped and counted. Nothing is left behind and no task waits for another."""
import gzip
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
MPIRUN = ("mpirun", "--oversubscribe", "--bind-to", "none")
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FAILED, USAGE, DATA = 1, 2, 3


def run(*command):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env,
                          stdin=subprocess.DEVNULL)


def says(what, ended, code, *words):
    """The exit code, and one message with the words."""
    said = [x for x in ended.stderr.splitlines() if x.startswith("muster-ml")]
    tap.ok(ended.returncode == code and len(said) == 1 and all(w in said[0] for w in words), what,
           f"exit {ended.returncode}\n{ended.stderr}{ended.stdout[-500:]}")


def put(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    return folder


def images(count, rng):
    pixels = bytes(rng.randrange(256) for _ in range(count * 64))
    return struct.pack(">IIII", 0x803, count, 8, 8) + pixels


def labels(count):
    return struct.pack(">II", 0x801, count) + bytes(i % 4 for i in range(count))


def image_files():
    rng = random.Random(1)
    return {TRAIN_IMAGES: images(128, rng), TRAIN_LABELS: labels(128),
            TEST_IMAGES: images(64, rng), TEST_LABELS: labels(64)}


def lines(count):
    return "".join(f"{'good fine nice' if i % 2 else 'bad poor sad'} day {i % 7}\t{i % 2}\n"
                   for i in range(count)).encode()


class Bench:
    """Data sets with one fault each, in a directory that is then compared with what was put there."""

    def __init__(self, base):
        self.base = base
        self.count = 0

    def train(self, files, *options, model="mlp"):
        self.count += 1
        folder = put(os.path.join(self.base, f"d{self.count}"), files)
        ended = run(ML, "train", "--data", folder, "--batch", "32", "--epochs", "1", "--model",
                    model, *options)
        if sorted(os.listdir(folder)) != sorted(files):
            tap.ok(False, "nothing is left in the data's directory", os.listdir(folder))
        return ended

    def image_fault(self, what, name, data, *words, packed=None):
        files = image_files()
        del files[name]
        if data is not None:
            files[name] = data
        if packed is not None:
            files[name + ".gz"] = packed
        says(what, self.train(files), DATA, name if name != TEST_LABELS else "test", *words)

    def text_fault(self, what, words, skipped="", **files):
        all_files = {"train.txt": lines(100), "test.txt": lines(40)}
        all_files.update({k.replace("_", "."): v for k, v in files.items()})
        all_files = {k: v for k, v in all_files.items() if v is not None}
        ended = self.train(all_files, model="lstm")
        if skipped:
            tap.ok(ended.returncode == 0 and skipped in ended.stderr, what, ended.stderr)
        else:
            says(what, ended, DATA, *words)


def image_data(b):
    good = image_files()
    whole, packed = good[TRAIN_IMAGES], gzip.compress(good[TRAIN_IMAGES])
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xff
    fault = b.image_fault
    fault("truncated", TRAIN_IMAGES, whole[:-5], "8192 bytes were announced and 8187", "Fetch")
    fault("truncated in the header", TRAIN_IMAGES, whole[:6], "cut off", "Fetch")
    fault("gzip cut off", TRAIN_IMAGES, None, "unexpected end", "Fetch", packed=packed[:-500])
    fault("gzip without its checksum", TRAIN_IMAGES, None, "unexpected end", packed=packed[:-4])
    fault("gzip with a flipped byte", TRAIN_IMAGES, None, "damaged", "Fetch", packed=bytes(flipped))
    fault("longer than announced", TRAIN_IMAGES, whole + b"xx", "goes on after the 8192 bytes")
    fault("an empty file", TRAIN_IMAGES, b"", "is empty")
    fault("no images", TRAIN_IMAGES, struct.pack(">IIII", 0x803, 0, 8, 8), "is empty")
    fault("a missing file", TRAIN_LABELS, None, "No such file", "--data")
    fault("wrong magic", TRAIN_IMAGES, b"\0\0\x0d\x03" + whole[4:], "0x00000d03, not 0x00000803")
    fault("images for labels", TRAIN_LABELS, whole, "no IDX file of labels")
    fault("announced sizes beyond bounds", TRAIN_IMAGES,
          struct.pack(">IIII", 0x803, 1 << 31, 1 << 15, 1 << 15), "more than 2 GiB")
    fault("fewer labels than images", TRAIN_LABELS, labels(100), "128 images", "100 labels")
    fault("a test label out of range", TEST_LABELS, good[TEST_LABELS][:-1] + b"\x09",
          "labels go up to 9", "only to 3")
    says("test images of another size", b.train({**good, TEST_IMAGES: struct.pack(
        ">IIII", 0x803, 64, 4, 16) + good[TEST_IMAGES][16:]}), DATA, b.base, "8 x 8", "4 x 16")
    ended = b.train({**good, TRAIN_LABELS: good[TRAIN_LABELS][:-1] + b"\xff"})
    tap.ok("251 of 256 classes have no sample; the first is 4" in ended.stderr,
           "a stray training label shows as classes without samples", ended.stderr)


def text_data(b):
    fault, good = b.text_fault, lines(100)
    fault("invalid UTF-8 is skipped and counted", (), train_txt=good + b"\xff\xfe a\t1\n",
          skipped="train: 1 of 101 lines skipped; the first: line 101: invalid UTF-8")
    fault("a line without a label", (), test_txt=good + b"hello\n",
          skipped="test: 1 of 101 lines skipped; the first: line 101: there is no tab")
    fault("an unknown label", (), train_txt=good + b"a b\tmaybe\n", class_txt=b"no\nyes\n",
          skipped="train: 1 of 101 lines skipped; the first: line 101: the label is out of range")
    fault("too many of them are refused", ("train.txt", "20 of 120", "line 101", "TEXT<TAB>LABEL"),
          train_txt=good + b"\xff\t1\n" * 20)
    fault("a label only in the test part", ("test labels go up to 7",),
          test_txt=good + b"a b\t7\n")
    fault("an empty text file", ("train.txt", "is empty"), train_txt=b"")
    fault("a missing test file", ("test.txt", "No such file", "--data"), test_txt=None)
    fault("one label for all", ("same label",), train_txt=good.replace(b"\t1", b"\t0"))
    says("texts for a network of images", b.train({"train.txt": good, "test.txt": good}), USAGE,
         "layer 1 (dense)", "token ids")


def options(b):
    for what, words, args in (
            ("an unknown model", ('"resnet"', "mlp, cnn and lstm"), ("--model", "resnet")),
            ("an unknown option", ("--modle",), ("--modle", "cnn")),
            ("an unknown layer", ('"dens"', "There are dense"), ("--layers", "dens:3")),
            ("a rate that is no number", ('"fast"', "0 to 1000"), ("--lr", "fast")),
            ("a rate of nothing", ("--lr 0", "above 0"), ("--lr", "0")),
            ("a network beyond bounds", ("layer 2 (dense)", "parameters"),
             ("--layers", "dense:1048576 dense:1048576 dense:classes")),
            ("more samples in a step than there are", ("128 training samples",), ("-b", "1000"))):
        says(what, b.train(image_files(), *args), USAGE, *words)
    says("an unknown verb", run(ML, "trian"), USAGE, '"trian"')
    for what, words, path in (
            ("a model that cannot be saved is refused before the training", ("No such file",),
             os.path.join(b.base, "none", "m")), ("so is a directory", ("is a directory",), b.base),
            ("and a name that is empty", ("no name",), "")):
        ended = b.train(image_files(), "--save", path)
        says(what, ended, FAILED, path, *words)
        tap.equal(ended.stdout, "", "no step was done")


def diverged(b):
    kept = os.path.join(b.base, "diverged")
    ended = b.train(image_files(), "--lr", "1000", "--optimizer", "sgd", "--epochs", "9",
                    "--checkpoint", kept, "--checkpoint-every", "0s", "--save", kept + ".model")
    says("a diverged training ends with advice", ended, FAILED, "no longer a finite number",
         "below 1000 with --lr")
    tap.ok("nan" not in ended.stdout + ended.stderr, "and prints no figure that is none",
           ended.stdout[-500:])
    tap.ok(not os.path.exists(kept + ".model"), "no model is saved")
    ended = b.train(image_files(), "--lr", "1000", "--optimizer", "sgd", "--epochs", "9",
                    "--checkpoint", kept, "--resume")
    tap.ok("resumed from the checkpoint of step" in ended.stdout,
           "the checkpoint before it is kept, and is sound", ended.stdout + ended.stderr)


def on_a_terminal(b):
    """What a training says about its end stands in a line of its own, below the bar."""
    folder, (ours, its) = put(os.path.join(b.base, "shown"), image_files()), os.openpty()
    subprocess.run([ML, "train", "--data", folder, "--lr", "1000", "--optimizer", "sgd", "--batch",
                    "4"], stdin=subprocess.DEVNULL, stdout=its, stderr=its, timeout=60)
    os.close(its)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    tap.ok("\r[" in shown and "\nmuster-ml: " in shown, "on a terminal the bar's line is ended first",
           repr(shown[-400:]))


def claim_of(folder):
    with open(os.path.join(folder, "claim"), encoding="utf-8") as f:
        return f.read()


def checkpoints(b):
    kept = os.path.join(b.base, "kept")
    path = os.path.join(kept, "checkpoint.safetensors")
    texts = {"train.txt": lines(100), "test.txt": lines(40)}
    b.train(texts, "--checkpoint", kept, model="lstm")
    claim = claim_of(kept)
    resume = ("--checkpoint", kept, "--epochs", "2", "--resume")
    more = {**texts, "train.txt": lines(100) + b"new new words words\t0\n" * 20}
    spoken = {**texts, "train.txt": lines(100).replace(b"sad", b"zad")}
    order = {**texts, "train.txt": lines(100).replace(b"\t0", b"\tx").replace(b"\t1", b"\t0")
                                             .replace(b"\tx", b"\t1")}
    thirds = {k: v + b"good bad\t2\n" * 3 for k, v in texts.items()}
    for what, words, files, args, model in (
            ("another model", ("[24][128] there", "[24][64] here"), texts,
             ("--layers", "embedding:64 lstm:32 max dense:classes"), "lstm"),
            ("a model of images", ("another model",), image_files(), (), "mlp"),
            ("another number of classes", ("another model", "[2]", "[3]"), thirds, (), "lstm"),
            ("a larger vocabulary", ("another model", "[24][128]", "[25][128]"), more, (), "lstm"),
            ("another vocabulary", ("vocabulary differs",), spoken, (), "lstm"),
            ("a layer of another kind", ("its layers are",), texts,
             ("--layers", "embedding:128 lstm:128 last dense:classes"), "lstm"),
            ("the same texts with other labels", ("other training data",), order, (), "lstm"),
            ("another batch", ("--batch 32", "16"), texts, ("--batch", "16"), "lstm")):
        says(f"--resume with {what}", b.train(files, *resume, *args, model=model), DATA, path, *words,
             "name another directory")
    with open(path, "rb") as f:
        whole = f.read()
    flipped = whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:]
    for what, words, data in (
            ("cut off", ("cut off",), whole[:-100]), ("cut off early", ("cut off",), whole[:50]),
            ("empty", ("empty",), b""), ("of noise", ("no safetensors",), b"x" * 1000),
            ("with one flipped bit", ("checksum",), flipped)):
        put(kept, {"checkpoint.safetensors": data})
        says(f"--resume with a checkpoint {what}", b.train(texts, *resume, model="lstm"), DATA, path,
             *words, "Remove the file")
    tap.equal((sorted(os.listdir(kept)), claim_of(kept)),
              (["checkpoint.safetensors", "claim", "lock"], claim),
              "none of them took the directory from its owner, nor left anything there")
    put(kept, {"checkpoint.safetensors": whole})
    ended = b.train(texts, *resume, "--log", "json", model="lstm")
    tap.equal(ended.returncode, 0, "the right training goes on")
    tap.equal(sum("resumed_from_step" in json.loads(x) for x in ended.stdout.splitlines()), 1,
              "and every line of its JSON log is an object")
    says("without --resume it is not touched", b.train(texts, "--checkpoint", kept, model="lstm"),
         USAGE, "another training", "--resume")


def judged(b):
    """Models that eval refuses, and one that it must not."""
    model = os.path.join(b.base, "judged")
    named = {"train.txt": lines(100), "test.txt": lines(40), "class.txt": b"bad\ngood\n"}

    def evaluate(files):
        b.count += 1
        return run(ML, "eval", model, "--data", put(os.path.join(b.base, f"d{b.count}"), files),
                   "--log", "json")

    b.train(named, "--save", model, model="lstm")
    tap.equal(evaluate(named).returncode, 0, "eval on the same classes")
    says("eval on a list of other classes", evaluate({**named, "class.txt": b"good\nbad\n"}), DATA,
         "class.txt", "other classes")
    with open(model, "rb") as f:
        whole = f.read()
    begin = 8 + struct.unpack("<Q", whole[:8])[0]
    at = begin + json.loads(whole[8:begin])["layers.3.bias"]["data_offsets"][0]
    put(b.base, {"judged": whole[:at] + struct.pack("<f", float("nan")) + whole[at + 4:]})
    ended = evaluate(named)
    says("eval of a model with a number that is none", ended, DATA, model, "no finite number")
    tap.equal(ended.stdout, "", "prints no figure")
    b.train(named, "--save", model, "--vocabulary", "2", model="lstm")
    tap.equal(evaluate(named).returncode, 0, "eval of a model whose vocabulary is empty")


def two_tasks(b):
    good = put(os.path.join(b.base, "good"), image_files())
    cut = put(os.path.join(b.base, "cut"), {**image_files(), TRAIN_IMAGES: b"\0"})
    other = put(os.path.join(b.base, "other"), {**image_files(), TEST_LABELS: labels(64)[:-1] + b"\1"})
    train = (ML, "train", "--batch", "32", "--epochs", "3")
    both = (*MPIRUN, "-np", "2", *train)

    def apart(folder):
        return run(*MPIRUN, "-np", "1", *train, "--data", good, ":", "-np", "1", *train, "--data",
                   folder)

    says("2 tasks: bad data is said once", run(*both, "--data", cut), DATA, TRAIN_IMAGES)
    says("2 tasks: bad data of one ends both", apart(cut), DATA, TRAIN_IMAGES)
    says("2 tasks: data that differs", apart(other), DATA, "task 1", other, "the same files")
    says("2 tasks: a diverged training", run(*both, "--data", good, "--lr", "1000", "--optimizer",
                                             "sgd"), FAILED, "--lr")
    says("2 tasks: an unknown model is said once", run(*both, "--model", "resnet"), USAGE, "resnet")
    says("2 tasks: an unknown verb is said once", run(*MPIRUN, "-np", "2", ML, "trian"), USAGE,
         '"trian"')


folder = tempfile.mkdtemp(prefix="mt.", dir="/tmp")
try:
    bench = Bench(folder)
    image_data(bench)
    text_data(bench)
    options(bench)
    diverged(bench)
    on_a_terminal(bench)
    checkpoints(bench)
    judged(bench)
    if shutil.which("mpirun"):
        two_tasks(bench)
    else:
        tap.skip("2 tasks", "there is no mpirun")
    tap.equal(processes(ML, folder), [], "no process is left")
finally:
    shutil.rmtree(folder)
tap.done()
