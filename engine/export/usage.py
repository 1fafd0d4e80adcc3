"""How a folder that was exported is used without this program."""

from __future__ import annotations

import re

USAGE = """\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

question, passage = "What helps against the fever?", "For the fever take honey and ginger, then rest for two days."
tokenizer, model = AutoTokenizer.from_pretrained("my-model"), AutoModelForQuestionAnswering.from_pretrained("my-model")
inputs = tokenizer(question, passage, truncation="only_second", return_offsets_mapping=True, return_tensors="pt")
offsets, in_passage = inputs.pop("offset_mapping")[0], torch.tensor([part == 1 for part in inputs.sequence_ids()])
with torch.inference_mode():
    out = model(**inputs)
spans = torch.ones(len(offsets), len(offsets), dtype=bool).triu().tril(29) & in_passage[:, None] & in_passage
scores = (out.start_logits[0][:, None] + out.end_logits[0]).masked_fill(~spans, -torch.inf)
start, end = divmod(int(scores.argmax()), len(offsets))
print(passage[offsets[start, 0] : offsets[end, 1]])
"""
"""Plain torch and transformers: the best span of at most 30 tokens inside the passage. `my-model` is the folder."""


def usage_of(name: str) -> str:
    """The lines with `name`, a folder or a model of the Hub, for `my-model`; as they are where it is an odd name."""
    return USAGE.replace('"my-model"', f'"{name}"') if re.fullmatch(r"[\w./ -]+", name) else USAGE
