"""Our training steps by batch size, on one device: windows a second, useful share, how busy the device is, memory.

    python -m tests.benchmarks.steps --device cuda --model base --batch-sizes 16,32,64,128 [--torch-compile]

The model has random weights, the windows are SQuAD's. The first pass over the batches of two epochs, in which graphs
are recorded and kernels chosen, is timed apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from engine.config import RunConfig
from engine.data.features import Features, build_features
from engine.learning.batches import epoch_batches
from engine.learning.encoder.load import choose_device, choose_precision, load_model
from engine.learning.encoder.packed import PackedEncoder
from engine.learning.schedule import make_plan
from engine.learning.steps import Learner
from engine.models import model_in_folder
from tests.benchmarks import devices, material
from tests.benchmarks.devices import SIZES, random_model, training_work
from tests.benchmarks.material import DOC_STRIDE, MAX_LENGTH

PROFILED = 10


def main() -> None:
    parser = material.arguments(__doc__)
    parser.add_argument("--model", choices=tuple(SIZES), default="base", help="its kind and size")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="where to compute")
    parser.add_argument("--batch-sizes", default="16,32,64,128", help="windows in a step, each tried")
    parser.add_argument("--questions", type=int, default=3000, help="an epoch's questions")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each is timed")
    parser.add_argument("--attention-dropout", type=float, help="in place of the model's own")
    parser.add_argument("--hugging-face", action="store_true", help="by Hugging Face's own code, padded")
    parser.add_argument("--torch-compile", action="store_true", help="with the layers compiled")
    options = parser.parse_args()
    examples = material.spread(material.questions(options.data, material.TRAIN_FILE), options.questions)
    features = build_features(examples, material.tokenizer(), max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    peak = devices.matrix_speed(options.device)
    print(f"{len(features):,} windows, matrix products in bfloat16 up to {peak / 1e12:.3g} TFLOP/s", flush=True)
    rows = [["batch", "windows/s", "ms a step", "useful share", "device busy", "memory", "first pass"]]
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(Path(folder), options.model, material.model_folder())
        for size in map(int, options.batch_sizes.split(",")):
            rows.append(measured(options, model, features, size, peak))
            print(" | ".join(rows[-1]), flush=True)
    print(f"\n{material.table(rows)}")


def measured(options: argparse.Namespace, folder: Path, features: Features, size: int, peak: float) -> list[str]:
    """The row of one batch size."""
    config = RunConfig(dataset="-", device=options.device, batch_size=size, epochs=1000, lr=3e-5)
    device = choose_device(config)
    model = load_model(
        model_in_folder(folder, name=options.model, revision=None),
        seed=config.seed,
        device=device,
        dtype=choose_precision(config, device)[0],
        packed=not options.hugging_face,
        attention_dropout=options.attention_dropout,
    )
    if options.torch_compile and isinstance(model.network, PackedEncoder):
        model.network.compile_layers(model.dtype)
    learner = Learner(model, make_plan(config, features, model.parameters), features)
    batches = [windows for epoch in (1, 2) for windows in epoch_batches(features, config.seed, epoch, size)]
    began = time.perf_counter()
    for windows in batches:
        learner.learn(windows)
    devices.finish(options.device)
    first = time.perf_counter() - began

    began, used = time.perf_counter(), []
    for windows in cycle(batches):
        learner.learn(windows)
        used.append(windows)
        if time.perf_counter() - began > options.seconds:
            break
    devices.finish(options.device)
    took = time.perf_counter() - began
    lengths = np.diff(features.token_offset)
    work = sum(training_work(folder, lengths[windows]) for windows in used)
    memory = devices.peak_device_memory(options.device) or material.peak_memory()
    return [
        str(size),
        f"{sum(map(len, used)) / took:,.0f}",
        f"{1e3 * took / len(used):.2f}",
        f"{100 * work / took / peak:.1f} %",
        busy(learner, used[:PROFILED]) if options.device == "cuda" else "",
        f"{memory / 1e9:.1f} GB",
        f"{first:.1f} s",
    ]


def busy(learner: Learner, batches: list[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> str:
    """The share of the time of some steps in which the GPU runs kernels, profiled; copies count."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        began = time.perf_counter()
        for windows in batches:
            learner.learn(windows)
        torch.cuda.synchronize()
        took = time.perf_counter() - began
    kernels = sum(event.self_device_time_total for event in profiled.key_averages())
    return f"{100 * kernels / 1e6 / took:.0f} %"


if __name__ == "__main__":
    main()
