"""Where progress is shown: lines of a terminal, of a notebook, of a log."""

import importlib
import itertools
import sys
from collections.abc import Iterable
from typing import Any


class Terminal:
    def __init__(self, console: Any):
        # Rich takes a while to import, and only what moves needs it.
        from rich.console import Console

        self._console = console or Console(force_jupyter=False)
        self._live: Any = None

    @property
    def is_live(self) -> bool:
        return self._live is not None

    def show(self, line: "Line") -> None:
        if self._live is None:
            # What is printed meanwhile goes above the line. No thread draws: the line is drawn between two chunks.
            from rich.live import Live

            self._live = Live(line, console=self._console, auto_refresh=False)
            self._live.start(refresh=True)
        else:
            self._live.update(line, refresh=True)

    def finish(self, line: "Line") -> None:
        if self._live is None:
            self._console.print(line)
        else:
            self._live.update(line)
            self.close()

    def close(self) -> None:
        # Forgotten first, so that it is stopped only once also if stopping is interrupted.
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class Notebook:
    """An output of a cell for each epoch, replaced while the epoch runs. Needs no widgets."""

    _ids = itertools.count()

    def __init__(self):
        self._id: str | None = None

    @property
    def is_live(self) -> bool:
        return self._id is not None

    def show(self, line: "Line") -> None:
        display = importlib.import_module("IPython.display").display
        update = self._id is not None
        if self._id is None:
            self._id = f"treegy-{next(self._ids)}"
        text = "\n".join(str(part) for part in line.wrapped(100, False))
        display({"text/plain": text}, raw=True, display_id=self._id, update=update)

    def finish(self, line: "Line") -> None:
        self.show(line)
        self.close()

    def close(self) -> None:
        self._id = None


def in_notebook() -> bool:
    # IPython is there if this is one: nobody else needs to have it.
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def can_live(console: Any) -> bool:
    if console is not None:
        return console.is_terminal and not console.is_dumb_terminal
    # Asked of the file itself, because FORCE_COLOR, which many CI systems set, makes Rich take a pipe for a terminal.
    if not is_terminal(sys.stdout):
        return False
    from rich.console import Console
    from rich.file_proxy import FileProxy

    # Another bar may live already, such as that of the `fit` whose callback evaluates. Lines go above it.
    return not isinstance(sys.stdout, FileProxy) and not Console().is_dumb_terminal


def is_terminal(file: Any) -> bool:
    try:
        return bool(file.isatty())
    except (AttributeError, ValueError):  # no standard output at all (None), or a closed one
        return False


def print_line(line: str, file: Any) -> None:
    file = sys.stdout if file is None else file
    print(_encodable(line, getattr(file, "encoding", None) or "utf-8"), file=file, flush=True)


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace("µs", "us").encode(encoding, "replace").decode(encoding)
    return text


class Line:
    """`epoch 3/10  ━━━━━━──────  120/938  1.2s  loss 0.3121  accuracy 0.91`, on as many lines as it needs."""

    def __init__(self, head: list[str], count: tuple[int, int | None], times: list[str], metric_values: list[str]):
        self._head = head
        self._count = count
        self._times = times
        self._metric_values = metric_values

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        return self.wrapped(options.max_width, options.ascii_only)

    def wrapped(self, width: int, ascii_only: bool) -> list[Any]:
        """Return the lines, none of them longer than `width` unless a single part is."""
        from rich.text import Text

        step, steps = self._count
        count = str(step) if steps is None else f"{step:>{len(str(steps))}}/{steps}"
        parts = [Text(part, style="bold") for part in self._head]
        if width >= 60 and steps:
            parts.append(_bar(min(step / steps, 1.0), min(BAR, width // 5), ascii_only))
        parts += [Text(part) for part in (count, *self._times, *self._metric_values)]
        lines: list[Any] = []
        for part in parts:
            if lines and lines[-1].cell_len + 2 + part.cell_len <= width:
                lines[-1].append("  ").append_text(part)
            else:
                lines.append(Text(INDENT if lines else "", overflow="fold").append_text(part))
        if ascii_only:
            for line in lines:
                line.plain = _encodable(line.plain, "ascii")
        return lines


def _bar(done: float, width: int, ascii_only: bool) -> Any:
    from rich.text import Text

    # Told apart without colours, too.
    full, empty = "=-" if ascii_only else "━─"
    n = int(done * width)
    return Text().append(full * n, style="green").append(empty * (width - n), style="dim")


BAR = 24


INDENT = "    "
