"""What groups of 1, 2, 3 and 7 processes compute, for `test_learning_group.py`: `python -m … MODEL OUTPUT PORT`.

The ranks are forked, so that torch is imported once. Each writes `OUTPUT/WORLD-RANK.npz`.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from engine.config import RunConfig
from engine.learning.distributed import Group
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.load import Model, load_model
from engine.learning.evaluation import score_windows
from engine.learning.schedule import make_plan
from engine.learning.steps import Learner
from engine.models import model_in_folder
from tests.engine.test_learning_packed import windows

WORLDS = (1, 2, 3, 7)
LENGTHS = [17, 5, 40, 31, 17, 9, 22, 8, 30, 12, 25, 6, 19]
FEW = 5
"""Fewer windows than ranks of the largest group."""


class Telltale(torch.nn.Module):
    """Scores a token by its id and its place in the window, to the last bit the same in any batch; counts windows."""

    windows = 0

    def forward(self, batch: Batch, masks: object, dtype: object) -> torch.Tensor:
        self.windows += len(batch.lengths)
        return torch.stack((batch.input_ids, batch.position), dim=1).float()


def compute(group: Group, folder: Path) -> dict[str, Any]:
    network = Telltale()
    counting: Any = SimpleNamespace(network=network, device=torch.device("cpu"), dtype=torch.float32)
    found: dict[str, Any] = {}
    for name, count in (("all", len(LENGTHS)), ("few", FEW)):
        network.windows = 0
        start, end = score_windows(counting, windows(LENGTHS[:count]), group=group)
        found |= {f"{name}_start": start, f"{name}_end": end, f"{name}_windows": network.windows}

    files = model_in_folder(folder, name="bert", revision=None)
    model: Model = load_model(files, seed=1, device=torch.device("cpu"), dtype=torch.float32)
    features = windows(LENGTHS)
    # Of the four windows of a step, computed three and one at a time, two ranks get three and one.
    plan = make_plan(RunConfig(dataset="-", batch_size=3), features, model.parameters)
    learner = Learner(model, replace(plan, batch_size=4, micro_batch_size=3), features, group)
    learner.step = 1
    loss = learner._gradients(np.array([8, 2, 5, 1]))
    found["loss"] = group.add_up(loss).item()
    found["gradient"] = torch.cat([p.grad.flatten() for p in learner.parameters if p.grad is not None]).numpy()
    return found


def main(folder: Path, output: Path, port: int) -> None:
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # DistributedDataParallel would, in every rank
    for world in WORLDS:
        ranks = []
        for rank in range(world):
            if pid := os.fork():
                ranks.append(pid)
                continue
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port + world)}
            group = Group(rank, world, rank)
            group.join()
            np.savez(output / f"{world}-{rank}.npz", **compute(group, folder))
            group.wait_for_all()
            os._exit(0)
        failed = [pid for pid in ranks if os.waitpid(pid, 0)[1]]
        if failed:
            sys.exit(f"{len(failed)} of {world} ranks failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
