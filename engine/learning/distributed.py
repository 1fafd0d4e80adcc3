"""Several processes, one for each device, started by torchrun or srun: plain DistributedDataParallel.

Imports torch only where there is more than one.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError, UserError
from engine.rundir.process import Owner

if TYPE_CHECKING:
    import torch
    from torch import nn

PR_SET_PDEATHSIG = 1
JOIN_SECONDS = float(os.environ.get("_BERTQA_JOIN_SECONDS", "300"))
"""How long processes wait for each other at the start, where importing torch may take a minute."""
COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""Longer than anything that one process does while the others wait. What ends a run sooner when one is gone is
`peers.py`."""


@dataclass
class Group:
    """This process among `world`; `rank` 0 alone writes."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    members: tuple[Owner, ...] = ()
    """The process of each rank, once joined."""

    def __post_init__(self) -> None:
        self._store: Any = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Group:
        """From torchrun's variables, else those of an srun step with several tasks; else a group of one.

        Raises UsageError where srun's tasks are not told how to find each other.
        """
        read = environment.get
        if "RANK" in environment:
            return cls(int(read("RANK", "0")), int(read("WORLD_SIZE", "1")), int(read("LOCAL_RANK", "0")))
        # Set by srun for the tasks of a step, and not in a batch script itself.
        world = int(read("SLURM_STEP_NUM_TASKS", "1"))
        if world == 1 or "SLURM_PROCID" not in environment:
            return cls()
        if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT") if not read(name)]:
            raise UsageError(
                f"srun started {world} tasks without {' and '.join(missing)}: they can't find each other.",
                hint='In the batch script: export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | '
                "head -n1) MASTER_PORT=29500.",
            )
        # With --gpus-per-task=1 each task sees one GPU alone, its own.
        sees_one = read("CUDA_VISIBLE_DEVICES", "") != "" and "," not in read("CUDA_VISIBLE_DEVICES", "")
        return cls(int(read("SLURM_PROCID", "0")), world, 0 if sees_one else int(read("SLURM_LOCALID", "0")))

    @property
    def place(self) -> str:
        """Host and process of this rank."""
        return f"{platform.node()} (process {os.getpid()})"

    def place_of(self, rank: int) -> str:
        """Host and process of a rank, once joined."""
        return f"{self.members[rank].host} (process {self.members[rank].pid})"

    def join(self) -> None:
        """Connect to the others; does nothing in a group of one. Raises UserError where they don't all come."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        # Numbers of the CPU (decisions, scores) travel by gloo: asking for them makes no GPU wait.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        patience = timedelta(seconds=JOIN_SECONDS)
        try:
            store, _, _ = next(rendezvous("env://", self.rank, self.world, timeout=patience))
            # Of its own connection: one that others wait on answers nobody else.
            self._store = PrefixStore("run", store.clone())
            self.post(f"member {self.rank}", msgspec.json.encode(Owner.of(os.getpid())).decode())
            found = self._store.multi_get([f"member {rank}" for rank in range(self.world)])
            self.members = tuple(msgspec.json.decode(member, type=Owner) for member in found)
            dist.init_process_group(
                backend, store=store, rank=self.rank, world_size=self.world, timeout=COLLECTIVE_TIMEOUT
            )
        except RuntimeError as error:
            raise UserError(
                f"rank {self.rank} on {self.place} did not find the other {self.world - 1} at "
                f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')} within {JOIN_SECONDS:.0f} s: "
                f"{first_line(error)}",
                hint="Is every machine started, with the same command? Do they reach that address and port?",
            ) from None

    def leave(self) -> None:
        if self.world == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()

    def post(self, name: str, text: str) -> None:
        """Leave a note for the other processes, without waiting for them. Raises RuntimeError where the store of the
        rendezvous is gone."""
        if self._store is not None:
            self._store.set(name, text)

    def read(self, name: str) -> str | None:
        """The note `name`, None where nobody left one yet. Raises RuntimeError where the store is gone."""
        if self._store is None or not self._store.check([name]):
            return None
        return str(self._store.get(name).decode())

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


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 300 characters; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, so that no rank stays behind on a device."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
