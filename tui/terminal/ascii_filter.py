"""The last guard of `--ascii`: signs that Textual or a text of ours draws with are replaced in every finished line."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

SIGNS = str.maketrans(
    {
        **dict.fromkeys("─━╌╍┄┅┈┉═▁▔▂▃‐‑–—−", "-"),
        **dict.fromkeys("│┃┆┇┊┋║▌▐▏▕▎", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝╠╣╦╩╬", "+"),
        **dict.fromkeys("█▉▊▋▍▄▅▆▇▀▓▒", "#"),
        **dict.fromkeys("░⣀", "."),
        **dict.fromkeys("·•", "-"),
        **dict.fromkeys("“”„", '"'),
        **dict.fromkeys("‘’", "'"),
        **dict(zip("←→↑↓▲▼◆‹›…×√✓✗", "<>^v^v*<>~xV+-", strict=True)),
        "🔎": "> ",
    }
)
"""Each takes as many cells as before. Letters of other alphabets are the data's own and stay."""


class AsciiFilter(LineFilter):
    """Draws with ASCII signs alone; styles stay."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments with each sign replaced."""
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(SIGNS), segment.style, segment.control)
            for segment in segments
        ]


ASCII_FILTER = AsciiFilter()
"""One for all, so that Textual finds the lines again that it has filtered."""
