"""`python -m engine.learning.onnx_export RUN WEIGHTS FILE`: writes the model in the folder WEIGHTS as ONNX.

It is compared with torch on windows of the run's own eval set. Answers with records of engine.export.onnx, a line each.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from engine.data.examples import read_examples
from engine.data.features import Features, build_features, select_windows
from engine.errors import ExitCode, UserError
from engine.export.onnx import TOLERANCE, WINDOWS, Answer, Checked, Progress, Refused
from engine.learning.distributed import die_with_parent
from engine.learning.encoder.hugging_face import HuggingFaceEncoder, load_hugging_face
from engine.learning.encoder.load import Model
from engine.learning.evaluation import score_windows
from engine.learning.prepare import load_tokenizer, window_length
from engine.models import ModelFiles, model_in_folder
from engine.rundir.layout import RunDir
from engine.rundir.privacy import scrub

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("start_logits", "end_logits")
AXES = {0: "batch", 1: "length"}
INTERRUPTED = 130
REPORT_SECONDS = 5.0
Say = Callable[[Answer], None]


class TwoScores(nn.Module):
    """A Hugging Face question-answering model as a function of arrays [batch, length] to arrays of the same shape."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """Start and end logits."""
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        out: Any = self.model(input_ids=input_ids, attention_mask=attention_mask, **more)
        return out.start_logits, out.end_logits


class OnnxModel(nn.Module):
    """An ONNX file behind the call of the Hugging Face model that it was made from."""

    def __init__(self, file: Path, threads: int) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.names = [given.name for given in self.session.get_inputs()]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """Start and end logits, as attributes."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        arrays = {name: value.numpy() for name in self.names if (value := given[name]) is not None}
        start, end = self.session.run(list(OUTPUTS), arrays)
        return SimpleNamespace(start_logits=torch.from_numpy(start), end_logits=torch.from_numpy(end))


def main(argv: Sequence[str] | None = None) -> int:
    """Export one model; returns the exit code."""
    run, weights, target = sys.argv[1:] if argv is None else argv
    die_with_parent()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what torch and the exporter print goes with the errors

    def say(answer: Answer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")

    try:
        say(export(RunDir(Path(run)), Path(weights), Path(target), say))
        return int(ExitCode.OK)
    except UserError as error:
        say(Refused(scrub(error.message), scrub(error.hint), int(error.exit_code)))
        return int(error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED


def export(run: RunDir, weights: Path, target: Path, say: Say) -> Checked:
    """Write `target` and compare it. Raises UserError where the two differ by more than TOLERANCE."""
    config = run.config
    say(Progress("ONNX: loading the model"))
    files = model_in_folder(weights, name=weights.name, revision=None)
    features = eval_windows(run, files)
    network = load_hugging_face(files, seed=config.seed, trust_remote_code=config.trust_remote_code)
    network.eval()
    say(Progress("ONNX: exporting"))
    write_onnx(network, target)
    say(Progress(f"ONNX: comparing {len(features)} windows"))
    threads = torch.get_num_threads()
    other = HuggingFaceEncoder(OnnxModel(target, threads), network.pad_id)
    other.takes_types = network.takes_types
    ours = _scores(network, files, features, progress_lines(say, "torch"))
    theirs = _scores(other, files, features, progress_lines(say, "onnxruntime"))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours.scores, theirs.scores, strict=True))
    if not difference <= TOLERANCE:
        raise UserError(
            f"the ONNX model's logits differ from torch's by {difference:.1e} on {len(features)} windows, more than "
            f"{TOLERANCE:.0e}; it is not kept.",
            hint="This architecture or version of the exporter is not exact enough; export the folder without --onnx.",
        )
    count = len(features)
    return Checked(count, difference, count / ours.seconds, count / theirs.seconds, threads)


def eval_windows(run: RunDir, files: ModelFiles) -> Features:
    """Windows of the run's eval set, evenly spread, at most WINDOWS."""
    config = run.config
    examples = read_examples(run.examples_file).eval
    chosen = np.unique(np.linspace(0, len(examples) - 1, WINDOWS).round().astype(int))
    length = window_length(config, files)
    features = build_features(
        [examples[number] for number in chosen],
        load_tokenizer(files, trust_remote_code=config.trust_remote_code),
        max_length=length,
        doc_stride=min(config.doc_stride, length - 1),
    )
    return select_windows(features, np.unique(np.linspace(0, len(features) - 1, WINDOWS).round().astype(int)))


def write_onnx(network: HuggingFaceEncoder, target: Path) -> None:
    """Write the model with free batch and length to `target`. Raises UserError."""
    import onnx

    names = INPUTS if network.takes_types else INPUTS[:2]
    ids = torch.full((2, 8), network.pad_id)
    ids[0] = torch.arange(8) % 4 + network.pad_id + 1
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)  # RoBERTa knows no other type than 0
    free = {axis: torch.export.Dim.DYNAMIC for axis in AXES}
    try:
        torch.onnx.export(
            TwoScores(network.model).eval(),
            (ids, mask, types)[: len(names)],
            str(target),
            dynamo=True,
            external_data=False,
            input_names=list(names),
            output_names=list(OUTPUTS),
            dynamic_shapes=(free,) * len(names),
            verbose=False,
        )
        made = onnx.load(str(target))
        for value in (*made.graph.input, *made.graph.output):
            for axis, name in AXES.items():
                value.type.tensor_type.shape.dim[axis].dim_param = name
        onnx.checker.check_model(made)
        onnx.save(made, str(target))
    except Exception as error:  # the exporter's own, of many kinds, for an architecture that it can't trace
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"this architecture can't be exported as ONNX: {type(error).__name__}: {line[:300]}",
            hint="Export the folder without --onnx.",
        ) from error


def progress_lines(say: Say, what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """A callback for windows done of all, which says how many and the time left every REPORT_SECONDS."""
    began = reported = clock()

    def progress(done: int, total: int) -> None:
        nonlocal reported
        now = clock()
        if now - reported >= REPORT_SECONDS and done < total:
            reported = now
            left = (now - began) / done * (total - done)
            say(Progress(f"ONNX: {what} has scored {done} of {total} windows, about {left:.0f} s left"))

    return progress


def _scores(
    network: HuggingFaceEncoder, files: ModelFiles, features: Features, progress: Callable[[int, int], None]
) -> SimpleNamespace:
    """Scores of all tokens, and how long they took once everything is warm."""
    model = Model(network, files, torch.device("cpu"), torch.float32, packed=False)
    score_windows(model, select_windows(features, np.arange(min(8, len(features)))))
    began = time.perf_counter()
    scores = score_windows(model, features, progress=progress)
    return SimpleNamespace(scores=scores, seconds=time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
