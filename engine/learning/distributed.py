"""Several processes, one for each device, started by torchrun: plain DistributedDataParallel.

Imports torch only where there is more than one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

PR_SET_PDEATHSIG = 1
PATIENCE = timedelta(days=30)
"""A paused run waits in a collective; that must not look like a fault."""


@dataclass(frozen=True)
class Group:
    """This process among `world`; `rank` 0 alone writes."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls) -> Group:
        """From torchrun's variables; a group of one where there are none."""
        read = os.environ.get
        return cls(int(read("RANK", "0")), int(read("WORLD_SIZE", "1")), int(read("LOCAL_RANK", "0")))

    def join(self, device: torch.device) -> None:
        """Connect to the others, once; does nothing in a group of one."""
        if self.world > 1:
            import torch.distributed as dist

            if dist.is_initialized():
                return
            # Numbers of the CPU (decisions, scores) travel by gloo: asking for them makes no GPU wait.
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)

    def leave(self) -> None:
        if self.world == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()

    def wrap(self, network: nn.Module, *, all_used: bool) -> nn.Module:
        """`network` with gradients averaged over all processes; `all_used`: every parameter gets one each step."""
        if self.world == 1:
            return network
        from torch import nn

        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=not all_used)

    def syncing(self, network: nn.Module, *, now: bool) -> AbstractContextManager[None]:
        """Where gradients of one step are added up in parts, they are averaged over processes with the last one."""
        if self.world == 1 or now:
            return nullcontext()
        no_sync: AbstractContextManager[None] = cast("Any", network).no_sync()
        return no_sync

    def highest(self, value: int) -> int:
        """The highest of the processes' values, the same for all."""
        if self.world == 1:
            return value
        import torch
        import torch.distributed as dist

        shared = torch.tensor([value])
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def add_up(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over processes, in place and without waiting for a GPU."""
        if self.world > 1:
            import torch.distributed as dist

            dist.all_reduce(values)
        return values

    def gather(self, arrays: tuple[NDArray[np.float32], ...]) -> None:
        """Add up arrays in which every process filled its own places and left the others 0."""
        if self.world > 1:
            import torch
            import torch.distributed as dist

            for array in arrays:
                dist.all_reduce(torch.from_numpy(array))

    def wait_for_all(self) -> None:
        self.highest(0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, so that no rank stays behind on a device."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
