"""AdamW through torch's functional form.

`torch.optim.AdamW` would bring the compiler in when the first one is made: over a second and 100 MB at every start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
BETAS = (0.9, 0.999)
EPS = 1e-8


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019), with torch's defaults and its fused kernel.

    `state` holds for each parameter that was updated: `step` float32[], `exp_avg` and `exp_avg_sq` of its shape.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[nn.Parameter], float]]) -> None:
        """`groups`: parameters and the weight decay that they share."""
        self._groups = [(list(parameters), decay) for parameters, decay in groups]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, lr: float | Tensor, *, skip: Tensor, divide: Tensor) -> None:
        """Update every parameter by its gradient over `divide`; leave all as it is where `skip` is 1. These are
        float32[] on the parameters' device, and so is `lr` where it is a tensor."""
        for parameters, decay in self._groups:
            moving = [p for p in parameters if p.grad is not None]
            states = [self._state_of(p) for p in moving]
            adamw(
                list[Tensor](moving),
                [p.grad for p in moving if p.grad is not None],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                grad_scale=divide,
                found_inf=skip,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=lr,
                weight_decay=decay,
                eps=EPS,
                maximize=False,
            )

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self.state:
            self.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[parameter]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameters, _ in self._groups:
            for parameter in parameters:
                parameter.grad = None
