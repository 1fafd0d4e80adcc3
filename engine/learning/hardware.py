"""What torch finds on this machine, as one JSON record: `python -m engine.learning.hardware`."""

from __future__ import annotations

import sys

import msgspec
import torch

from engine.config import RunConfig
from engine.doctor import Device, Hardware
from engine.learning.encoder.load import DTYPES, choose_device, choose_precision


def hardware() -> Hardware:
    """The devices, and what a run would compute on."""
    config = RunConfig(dataset="-")
    device = choose_device(config)
    dtype, reason = choose_precision(config, device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = [torch.cuda.get_device_properties(number) for number in range(count)]
    return Hardware(
        torch=str(torch.__version__),
        cuda=torch.version.cuda,
        chosen=str(device),
        precision=next(name for name, known in DTYPES.items() if known == dtype),
        reason=reason,
        threads=torch.get_num_threads(),
        devices=tuple(Device(found.name, found.total_memory) for found in properties),
        mps=torch.backends.mps.is_available(),
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(hardware()))
