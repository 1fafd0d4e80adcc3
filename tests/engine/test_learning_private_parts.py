"""What the learning room uses of torch and transformers that they promise nobody: it is there, as it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from torch.optim import adamw

from engine.learning.encoder.families.registry import MODULES, family

ROOM = Path(__file__).parents[2] / "engine" / "learning"
PRIVATE = {
    "torch.ops.aten._flash_attention_forward": "encoder/attention.py",
    "…._flash_attention_forward": "encoder/attention.py",
    "operator.default._schema": "encoder/attention.py",
    "operator.default._schema.arguments": "encoder/attention.py",
    "torch._foreach_mul_": "loss_scale.py",
}
DOCUMENTED = {"os._exit"}
"""Names that begin with an underscore and are public all the same."""

FLASH = (
    "torch.ops.aten._flash_attention_forward {what} in torch {version}. Only `_varlen_flash` in "
    "engine/learning/encoder/attention.py uses it: rewrite the call after torch's "
    "aten/src/ATen/native/native_functions.yaml, or have `_has_varlen_flash` return False, which pads instead."
)
ADAMW = (
    "torch.optim.adamw.adamw {what} in torch {version}. Only `AdamW.step` in engine/learning/encoder/optimizer.py uses "
    "it: rewrite the call after torch/optim/adamw.py, or go back to torch.optim.AdamW(fused=True), with `found_inf` "
    "set as an attribute, at the cost of a second at every start."
)


def flash(what: str) -> str:
    return FLASH.format(what=what, version=torch.__version__)


def functional(what: str) -> str:
    return ADAMW.format(what=what, version=torch.__version__)


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute of an attribute of a name; "" for what stands on anything else."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def private_uses(source: str) -> set[str]:
    """Private names that a module takes from others: attributes, imports and getattr by a fixed name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute() if not dotted(node).startswith(("self.", "cls.")):
                found.add(dotted(node) or f"….{node.attr}")
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom() if not (node.module or "").startswith("engine"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                found.add(f"….{name}")
    return {name for name in found if is_private(name)} - DOCUMENTED


def test_what_the_scan_finds() -> None:
    code = """
import torch._inductor
from torch._C import x
getattr(a, "_b")
f()._c
a._e.f
self._d
os._exit(1)
a.__g__
"""
    assert private_uses(code) == {"torch._inductor", "torch._C.x", "…._b", "…._c", "a._e", "a._e.f"}


def test_no_other_private_parts_are_in_use() -> None:
    found = {
        name: str(path.relative_to(ROOM))
        for path in ROOM.rglob("*.py")
        for name in private_uses(path.read_text("utf-8"))
    }
    assert found == PRIVATE, (
        "engine/learning uses private parts that no test here checks, or one of PRIVATE no more. Use what is public; "
        "where there is nothing, name the part in PRIVATE and add a test that says what to do when it is gone."
    )


def test_flash_attention_for_windows_of_different_lengths() -> None:
    operator = getattr(torch.ops.aten, "_flash_attention_forward", None)
    assert operator is not None, flash("is gone")
    schema = operator.default._schema
    given = [argument.name for argument in schema.arguments if not argument.kwarg_only]
    assert given == [
        "query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k", "dropout_p", "is_causal",
        "return_debug_mask",
    ], flash(f"takes other arguments: {given}")  # fmt: skip
    assert all(argument.has_default_value() for argument in schema.arguments if argument.kwarg_only), flash(
        "needs more arguments"
    )
    assert schema.returns[0].name == "output", flash("gives its output elsewhere")
    query = torch.empty(7, 2, 8, device="meta", dtype=torch.bfloat16)
    bounds = torch.empty(3, device="meta", dtype=torch.int32)
    out = operator(query, query, query, bounds, bounds, 4, 4, 0.0, False, False)[0]
    assert out.shape == query.shape, flash("gives another shape")


def test_multiplying_many_tensors_at_once() -> None:
    advice = f"in torch {torch.__version__}: multiply one gradient at a time in engine/learning/loss_scale.py instead."
    function = getattr(torch, "_foreach_mul_", None)
    assert function is not None, f"torch._foreach_mul_ is gone {advice}"
    tensors = [torch.ones(2), torch.full((3,), 2.0)]
    function(tensors, torch.tensor(3.0))
    assert [t.tolist() for t in tensors] == [[3.0] * 2, [6.0] * 3], f"torch._foreach_mul_ does something else {advice}"


def test_the_functional_form_of_adamw() -> None:
    function = getattr(adamw, "adamw", None)
    assert function is not None, functional("is gone")
    parameters = inspect.signature(function).parameters
    positional = [name for name, kind in parameters.items() if kind.kind is not inspect.Parameter.KEYWORD_ONLY]
    expected = ["params", "grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs", "state_steps"]
    assert positional[:6] == expected, functional(f"takes other arguments: {positional}")
    used = {"fused", "grad_scale", "found_inf", "amsgrad", "beta1", "beta2", "lr", "weight_decay", "eps", "maximize"}
    assert used <= parameters.keys(), functional(f"knows no {sorted(used - parameters.keys())}")
    needed = {name for name, kind in parameters.items() if kind.default is inspect.Parameter.empty}
    assert needed <= used | set(expected), functional(f"needs {sorted(needed - used - set(expected))} too")


def test_an_optimizer_without_the_compiler() -> None:
    """Why the functional form is used: with it a start does not bring in torch's compiler."""
    code = (
        "import sys, torch\n"
        "from engine.learning.encoder.optimizer import AdamW\n"
        "p = torch.nn.Parameter(torch.zeros(3)); p.grad = torch.ones(3)\n"
        "AdamW([([p], 0.1)]).step(0.1, skip=torch.zeros(()), divide=torch.ones(()))\n"
        "print(float(p[0]), *({'torch._dynamo', 'torch._inductor', 'sympy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOM.parents[1])
    moved, *compiler = done.stdout.split()
    assert float(moved) < 0
    assert not compiler, (
        f"one step of the optimizer imports {compiler} in torch {torch.__version__}: a second at every start. Look for "
        "the import in torch/optim/adamw.py and what it calls; when it can't be avoided, torch.optim.AdamW is as good."
    )


def test_names_of_models_and_their_weights() -> None:
    """The packed encoder reads and writes files by these names; they are nowhere promised."""
    advice = "change the module in engine/learning/encoder/families, and keep reading the former names in load.py."
    for kind in MODULES:
        name = family(kind).qa_class
        model = getattr(transformers, name, None)
        assert model is not None, f"transformers {transformers.__version__} has no {name} any more: {advice}"
        assert model.config_class.model_type == kind, f"{name} is of another model_type: {advice}"
        assert f"{model.base_model_prefix}." == family(kind).prefix, f"weights of {name} begin otherwise: {advice}"
    with torch.device("meta"):
        model = transformers.BertForQuestionAnswering(transformers.BertConfig(num_hidden_layers=1))
    names = dict(model.named_parameters())
    for name in (
        "bert.embeddings.LayerNorm.weight",
        "bert.encoder.layer.0.attention.self.query.weight",
        "qa_outputs.bias",
    ):
        assert name in names, f"BERT has no weight {name} any more: {advice}"
