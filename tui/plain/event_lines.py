"""Events and scores as one line of text."""

from __future__ import annotations

from engine.events import (
    AnyEvent,
    CheckpointSaved,
    CommandDone,
    Failed,
    Finished,
    Metrics,
    Paused,
    Phase,
    Resumed,
    RunStarted,
    SnapshotTaken,
    Step,
    Stopped,
    Warned,
    metric_table,
    score_texts,
)
from engine.rundir.disk_plan import DiskPlan
from tui.drawing.format import clock


def metrics_line(metrics: Metrics, seen: Metrics | None = None, unseen: Metrics | None = None) -> str:
    """One line of scores, fit for a log or a screen reader."""
    table = metric_table()
    line = "  ".join(score_texts(metrics).values())
    for name, part in (("seen", seen), ("unseen", unseen)):
        if part is not None:
            apart = [metric.text(getattr(part, field)) for field, metric in table.items() if metric.shown_apart]
            line += f"  | {name} {' '.join(apart)}"
    return line


def event_line(event: AnyEvent) -> str | None:
    """What happened, as one line of plain text; None for what is only progress."""
    match event:
        case RunStarted():
            from_step = event.resumed_from_step
            resumed = "" if from_step is None else f", resumed at step {from_step}"
            return (
                f"{event.model} on {event.device} ({event.precision}), lr {event.lr:g}, "
                f"{event.train_examples} train and {event.eval_examples} eval examples, "
                f"{event.epochs} epochs = {event.total_steps} steps{resumed}{_disk(event)}"
            )
        case SnapshotTaken():
            sample = f"{event.sample_text}: " if event.sample_text else ""
            return f"{event.label:>10}  {sample}{metrics_line(event.metrics, event.seen, event.unseen)}"
        case CheckpointSaved():
            return f"saved {event.path}"
        case CommandDone():
            return f"{event.command}: {event.outcome}"
        case Paused():
            return f"paused at step {event.step}"
        case Resumed():
            return f"going on at step {event.step}"
        case Warned():
            return f"warning: {event.message} {event.hint}".rstrip()
        case Finished():
            why = f" ({event.reason})" if event.reason else ""
            return f"finished: {event.step} steps in {clock(event.seconds)}{why}"
        case Stopped():
            return f"stopped at step {event.step}: {event.reason}; it can be resumed"
        case Failed():
            return f"failed: {event.message} {event.hint}".rstrip()
        case Phase() | Step():
            return None


def phase_words(phase: Phase) -> str:
    """What the engine does now: `fold 2 of 5: evaluating epoch 1`. Text from outside."""
    part = f"{phase.part}: " if phase.part else ""
    return f"{part}{phase.name} {phase.detail}".rstrip()


def _disk(event: RunStarted) -> str:
    """`; writes …`, where the engine said it."""
    if not event.snapshots:
        return ""
    plan = DiskPlan(
        snapshots=event.snapshots, snapshot_bytes=event.snapshot_bytes, checkpoint_bytes=event.checkpoint_bytes
    )
    return f"; {plan.text}"
