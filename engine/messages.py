"""The records between a Reader and its answering process, and how they travel through pipes.

A record is MessagePack after its length (four bytes, big-endian). Requests carry an `id` that their replies repeat. A
new kind of request takes a Struct in `Request`, one for its reply in `Reply`, and a line in the table of
engine.learning.answer.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

from engine.config import Precision
from engine.errors import DataError, ExitCode, ModelError, UsageError, UserError, WriteError

MAX_RECORD = 1 << 30
LENGTH = struct.Struct(">I")
ScoresWanted = Literal["none", "best", "all"]
Method = Literal["gradient", "integrated"]


class Decision(Struct, frozen=True, kw_only=True):
    """When an answer is given, and how sure it counts.

    `threshold`: "no answer" wins where its score exceeds the best span's by more than this (`null_odds`);
    `min_probability`: a less probable answer is withheld; `temperature` divides scores before they become
    probabilities.
    """

    threshold: float = 0.0
    min_probability: float = 0.0
    temperature: float = 1.0


class Source(Struct, frozen=True, kw_only=True):
    """Which model answers, and how: as a run's evaluation does. `max_answer_length` counts tokens; `allow_null`: "no
    answer" may be predicted."""

    model: str
    label: str = ""
    revision: str | None = None
    trust_remote_code: bool = False
    max_length: int = 384
    doc_stride: int = 128
    max_answer_length: int = 30
    allow_null: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "auto"


class Load(Struct, frozen=True, kw_only=True, tag="load"):
    """Load a model, in place of the one before; answered by Ready."""

    id: int
    source: Source


class AnswerRequest(Struct, frozen=True, kw_only=True, tag="answer"):
    """Answer questions; answered by Answers. `questions` are (number of its context, question).

    `n_best` candidates come with each answer; `scores` of no window, of the answer's, or of all windows. With
    `progress` Progress records come first.
    """

    id: int
    contexts: tuple[str, ...]
    questions: tuple[tuple[int, str], ...]
    n_best: int = 5
    scores: ScoresWanted = "none"
    decision: Decision = Decision()
    progress: bool = False


class ExplainRequest(Struct, frozen=True, kw_only=True, tag="explain"):
    """Tell which tokens made the answer to one question; answered by Explanation. An opinion comes from each of
    `methods`; integrated gradients take `steps`. The masking test masks `masked` tokens, and as many random others
    `draws` times, drawn from `seed`."""

    id: int
    question: str
    context: str
    methods: tuple[Method, ...] = ("gradient",)
    steps: int = 20
    masked: int = 5
    draws: int = 5
    seed: int = 0
    decision: Decision = Decision()


class LayersRequest(Struct, frozen=True, kw_only=True, tag="layers_of"):
    """Put the question-answering head on every layer, in window number `window` of the passage (None: that of the
    answer); answered by Layers."""

    id: int
    question: str
    context: str
    window: int | None = None
    decision: Decision = Decision()


class Ready(Struct, frozen=True, kw_only=True, tag="ready"):
    """A model is loaded. `max_length` is what it takes; `packed`: windows are computed without padding."""

    id: int
    source: Source
    device: str
    precision: str
    parameters: int
    packed: bool
    max_length: int
    seconds: float


class Progress(Struct, frozen=True, kw_only=True, tag="progress"):
    """Windows scored so far."""

    id: int
    done: int
    total: int


class Candidate(Struct, frozen=True):
    """A possible answer; `text` is "" and the places are -1 for "no answer". `probability` is its share of all spans of
    all windows, "no answer" included where the model may predict it."""

    text: str
    char_start: int
    char_end: int
    start_logit: float
    end_logit: float
    score: float
    probability: float


class WindowScores(Struct, frozen=True, kw_only=True):
    """Scores of one window, lists of n tokens. `segment`: 0 special, 1 question, 2 passage; `char_start`, `char_end`
    are code points of the question or the passage. `start`, `end`: the best span's tokens, -1 where it is in another
    window; `null_token` stands for "no answer"."""

    number: int
    tokens: list[str]
    segment: list[int]
    char_start: list[int]
    char_end: list[int]
    start_logits: list[float]
    end_logits: list[float]
    null_token: int
    start: int
    end: int


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to one question.

    `text` is "" and `char_start`, `char_end` (code points of the passage) are -1 for "no answer"; `withheld`: there was
    an answer, below `Decision.min_probability`. `probability` is that of what is answered, of the span where it was
    withheld. `score` is the best span's; `null_odds` how far the null answer's exceeds it, None where the model has no
    null answer. `n_best` holds the candidates, best first; `windows` counts the passage's windows.
    """

    text: str
    char_start: int
    char_end: int
    probability: float
    score: float
    null_odds: float | None
    withheld: bool = False
    windows: int = 1
    n_best: tuple[Candidate, ...] = ()
    scores: tuple[WindowScores, ...] = ()


class Answers(Struct, frozen=True, kw_only=True, tag="answers"):
    """One answer for each question, in their order."""

    id: int
    answers: tuple[Answer, ...]
    seconds: float


class MaskingTest(Struct, frozen=True, kw_only=True):
    """P of the answer as it is, with the tokens `masked` (those that weigh most, outside the answer) masked, and the
    mean with as many random others, over `draws` draws."""

    masked: tuple[int, ...]
    before: float
    after: float
    after_random: float
    draws: int


class Opinion(Struct, frozen=True, kw_only=True):
    """A weight for each token of the window. "gradient": the L2 norm of the gradient of log P of the answer with
    respect to the token's input embedding; "integrated": integrated gradients from a window of masked words, which sum
    to log P of the answer minus log P there, but for `gap`."""

    method: Method
    weights: list[float]
    gap: float
    test: MaskingTest


class Explanation(Struct, frozen=True, kw_only=True, tag="explanation"):
    """Why this answer. `answer.scores` holds the one window of the answer, `start` and `end` are the answer's tokens
    in it, the null token for "no answer"; `probability` is P of that start times P of that end among the window's
    tokens that may be chosen, which the opinions explain."""

    id: int
    answer: Answer
    start: int
    end: int
    probability: float
    opinions: tuple[Opinion, ...]
    seconds: float


class Layers(Struct, frozen=True, kw_only=True, tag="layers"):
    """The head on the output of the embeddings (first) and of each layer (the last is the model's own): lists of
    layers + 1 lists of n tokens. Probabilities are among the tokens that may be chosen. `answer.scores` holds the
    window; `start` and `end` are the answer's tokens in it, -1 where it is elsewhere. A lens, not a proof: only the
    last layer was trained for the head (VisBERT, arXiv 1909.04925)."""

    id: int
    answer: Answer
    start: int
    end: int
    start_logits: list[list[float]]
    end_logits: list[list[float]]
    start_probability: list[list[float]]
    end_probability: list[list[float]]
    seconds: float


class Failure(Struct, frozen=True, kw_only=True, tag="failure"):
    """A request that can't be met; `id` is -1 where the record could not be read."""

    id: int
    message: str
    hint: str = ""
    exit_code: int = int(ExitCode.RUN_FAILED)

    @classmethod
    def of(cls, number: int, error: UserError) -> Failure:
        return cls(id=number, message=error.message, hint=error.hint, exit_code=int(error.exit_code))

    def error(self) -> UserError:
        """The error to raise, of the kind that ends with `exit_code`."""
        kinds = (UsageError, DataError, ModelError, WriteError)
        kind = next((kind for kind in kinds if kind.exit_code == self.exit_code), UserError)
        return kind(self.message, hint=self.hint)


Request = Load | AnswerRequest | ExplainRequest | LayersRequest
Reply = Ready | Progress | Answers | Explanation | Layers | Failure


def write_record(stream: BinaryIO, record: Struct) -> None:
    """Write one record. Raises OSError, and UsageError for one that is too large; nothing is written then."""
    data = msgspec.msgpack.encode(record)
    if len(data) > MAX_RECORD:
        raise UsageError(
            f"{len(data) / 1e6:,.0f} MB at a time are too much for the answering process.",
            hint="Ask fewer questions at a time.",
        )
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read_bytes(stream: BinaryIO) -> bytes | None:
    """The next record, encoded; None at the end of the stream. Raises ValueError where the stream is no stream of
    records."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    if size > MAX_RECORD:
        raise ValueError(f"a record of {size:,} bytes is too large")
    data = stream.read(size)
    return data if len(data) == size else None


def decode_request(data: bytes) -> Request:
    """Raises ValueError for what is no request."""
    return _REQUESTS.decode(data)


def decode_reply(data: bytes) -> Reply:
    """Raises ValueError for what is no reply."""
    return _REPLIES.decode(data)


_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
