import importlib
import io
import os
import re
import subprocess
import sys
import threading
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from treegy._loop import _progress
from treegy._loop._progress import Progress

pytestmark = pytest.mark.once

MANY = {f"a_figure_with_a_name_{i}": 0.125 * i for i in range(12)}


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 1000.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_progress, "time", clock)
    return clock


def terminal(width=100, height=20, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
    console = Console(
        file=file,
        force_terminal=True,
        force_jupyter=False,
        width=width,
        height=height,
        legacy_windows=False,
        _environ={},
    )
    return console, file


def written(file):
    file.flush()
    return file.buffer.getvalue().decode(file.encoding)


def screen(text):
    """What a terminal that got `text` shows, line by line."""
    lines, row, column = [""], 0, 0
    for control, char in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|([\s\S])", text):
        if control:
            number = int(re.sub(r"\D", "", control) or 1)
            match control[-1]:
                case "A":
                    row = max(row - number, 0)
                case "K":
                    assert control == "\x1b[2K"
                    lines[row] = ""
                case "m" | "h" | "l":
                    pass
                case _:
                    raise AssertionError(repr(control))
        elif char == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif char == "\r":
            column = 0
        else:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
    while lines and not lines[-1]:
        lines.pop()
    return lines


class counted:
    def __init__(self, logs):
        self.logs = logs
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.logs


# What is allowed


@pytest.mark.parametrize("verbose", [3, -1, "yes", "1", ""])
def test_another_verbose(verbose):
    with pytest.raises(ValueError, match=rf"`verbose` is {verbose!r}; it can be 0 .*, 1 .*, 2 .* or 'auto'"):
        Progress(verbose, epochs=1)


def test_true_is_one_and_false_is_zero(capsys):
    for verbose in (False, True):
        run(Progress(verbose, epochs=1))
        assert bool(capsys.readouterr().out) is verbose


# Where nothing lives


def run(progress, epochs=1, steps=3, logs=None, figures=None):
    figures = figures or counted({"loss": 0.5})
    try:
        for epoch in range(epochs):
            progress.begin_epoch(epoch, steps)
            for step in range(1, 4):
                progress.update(step, figures)
            progress.end_epoch({"loss": 0.25, "accuracy": 0.91} if logs is None else logs)
    finally:
        progress.close()
    return figures


def test_zero_shows_nothing(capsys):
    figures = run(Progress(0, epochs=2), 2)
    assert capsys.readouterr() == ("", "")
    assert figures.calls == 0


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_a_line_per_epoch_where_there_is_no_terminal(capsys, monkeypatch, verbose):
    monkeypatch.setenv("FORCE_COLOR", "1")
    figures = run(Progress(verbose, epochs=10), 2)
    out, err = capsys.readouterr()
    assert err == ""
    first, second = out.splitlines()
    assert re.fullmatch(r"epoch  1/10  3 steps  0\.0s  \d+(\.\d+)?(µs|ms)/step  loss 0\.2500  accuracy 0\.9100", first)
    assert second.startswith("epoch  2/10")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out)
    assert figures.calls == 0


def test_two_is_plain_also_in_a_terminal(clock):
    console, file = terminal(width=20)
    progress = Progress(2, epochs=1, title="evaluate", console=console)
    progress.begin_epoch(0, None)
    clock.now += 3
    progress.update(1, counted({}))
    progress.end_epoch(MANY)
    progress.close()
    figures = "  ".join(f"{name} {value:#.4g}" for name, value in MANY.items())
    assert written(file) == f"evaluate  1 step  3.0s  3.0s/step  {figures}\n"


def test_no_steps_and_no_figures(capsys):
    progress = Progress(2, epochs=1, title="predict")
    progress.begin_epoch(0, 0)
    progress.end_epoch({})
    assert capsys.readouterr().out == "predict  0 steps  0.0s\n"


def test_figures_as_they_are_shown(capsys):
    logs = {
        "a": 1 / 3,
        "b": 12345.678,
        "c": 1.5e-7,
        "d": float("nan"),
        "e": jnp.asarray(2),
        "f": np.array([0.5, 1]),
        "g": np.ones((3, 3), np.float32),
        "[bold]h": 1.0,
    }
    progress = Progress(2, epochs=1)
    progress.begin_epoch(0, 1)
    progress.end_epoch(logs)
    figures = "a 0.3333  b 1.235e+04  c 1.500e-07  d nan  e 2  f [0.5000 1.000]  g f32[3,3]  [bold]h 1.000\n"
    assert capsys.readouterr().out.endswith(figures)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.001, "0.0s  500µs/step"),
        (0.0123, "0.0s  6.15ms/step"),
        (1.999, "2.0s  1.0s/step"),
        (59.96, "1m00s  30.0s/step"),
        (90, "1m30s  45.0s/step"),
        (3 * 3600 + 61, "3h01m  1h30m/step"),
    ],
)
def test_durations(capsys, clock, seconds, text):
    progress = Progress(2, epochs=1)
    progress.begin_epoch(0, 2)
    clock.now += seconds
    progress.update(2, counted({}))
    progress.end_epoch({})
    assert capsys.readouterr().out == f"epoch 1/1  2 steps  {text}\n"


def test_validation_does_not_count_for_the_time_of_a_step(capsys, clock):
    progress = Progress(2, epochs=1)
    progress.begin_epoch(0, 2)
    clock.now += 1
    progress.update(2, counted({}))
    progress.end_steps(2)
    clock.now += 9
    progress.end_epoch({})
    assert capsys.readouterr().out == "epoch 1/1  2 steps  10.0s  500ms/step\n"


def test_a_file_that_has_no_micro():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    progress = Progress(2, epochs=1, console=Console(file=file))
    run(progress, logs={"λ": 1.0})
    assert "us/step  ? 1.000\n" in written(file)


# The live bar


def test_a_bar_and_the_line_that_stays(clock):
    console, file = terminal()
    progress = Progress(1, epochs=10, console=console)
    progress.begin_epoch(2, 938)
    assert screen(written(file)) == ["epoch  3/10  " + "─" * 20 + "    0/938  0.0s"]
    clock.now += 1.2
    progress.update(469, lambda: {"loss": 0.3121, "accuracy": 0.91})
    bar = "━" * 10 + "─" * 10
    assert screen(written(file)) == [f"epoch  3/10  {bar}  469/938  1.2s  3.6s left  loss 0.3121  accuracy 0.9100"]
    clock.now += 1.2
    progress.update(938, lambda: {})
    progress.end_epoch({"loss": 0.3, "val_loss": 0.4})
    line = f"epoch  3/10  {'━' * 20}  938/938  2.4s  2.56ms/step  loss 0.3000  val_loss 0.4000"
    assert screen(written(file)) == [line]
    clock.now += 0.2
    progress.begin_epoch(3, 938)
    assert screen(written(file))[0] == line
    assert len(screen(written(file))) == 2
    progress.close()
    assert written(file).count("\x1b[?25l") == written(file).count("\x1b[?25h") == 2


def test_time_left_begins_with_the_first_epoch(clock):
    console, file = terminal()
    progress = Progress(1, epochs=12, initial_epoch=10, console=console)
    progress.begin_epoch(10, 10)
    clock.now += 30
    progress.update(5, lambda: {})
    assert "  30.0s  1m30s left" in screen(written(file))[0]
    progress.close()


def test_epochs_of_unknown_length(clock):
    console, file = terminal()
    progress = Progress(1, epochs=1, title="evaluate", console=console)
    progress.begin_epoch(0, None)
    clock.now += 1
    progress.update(120, lambda: {"loss": 1.0})
    assert screen(written(file)) == ["evaluate  120  1.0s  loss 1.000"]
    progress.end_epoch({"loss": 2.0})
    progress.close()
    assert screen(written(file)) == [f"evaluate  {'━' * 20}  120/120  1.0s  8.33ms/step  loss 2.000"]


def test_figures_are_looked_at_five_times_a_second(clock):
    console, _ = terminal()
    progress = Progress(1, epochs=1, console=console)
    figures = counted({"loss": 1.0})
    progress.begin_epoch(0, 10_000)
    for step in range(10_000):
        clock.now += 1e-3
        progress.update(step, figures)
    progress.close()
    assert 47 <= figures.calls <= 50


def test_short_epochs_are_not_drawn(clock):
    console, file = terminal()
    progress = Progress(1, epochs=100, console=console)
    figures = counted({"loss": 1.0})
    for epoch in range(100):
        progress.begin_epoch(epoch, 1)
        clock.now += 0.01
        progress.update(1, figures)
        progress.end_epoch({"loss": 2.0})
    progress.close()
    assert figures.calls <= 10
    assert len(screen(written(file))) == 100
    assert written(file).count("\x1b[?25l") <= 11


def test_updates_are_cheap():
    progress = Progress(1, epochs=1, console=terminal()[0])
    progress.begin_epoch(0, 10)
    progress._next_draw = float("inf")
    figures = counted({})
    began = time.perf_counter()
    for _ in range(10_000):
        progress.update(1, figures)
    assert time.perf_counter() - began < 0.5
    assert figures.calls == 0
    progress.close()


@pytest.mark.parametrize("width", [12, 25, 40, 59, 60, 80, 200])
def test_no_figure_is_lost_in_a_narrow_terminal(clock, width):
    console, file = terminal(width=width, height=6)
    progress = Progress(1, epochs=1, console=console)
    progress.begin_epoch(0, 10)
    for _ in range(3):
        clock.now += 1
        progress.update(5, lambda: MANY)
        assert len(screen(written(file))) <= 6
    progress.end_epoch(MANY)
    print_after = "next"
    console.print(print_after)
    progress.close()
    lines = screen(written(file))
    assert all(len(line) <= width for line in lines)
    assert lines[-1] == print_after
    assert sum(line.startswith("epoch") for line in lines) == 1
    shown = re.sub(r"\s", "", "".join(lines))
    for name, value in MANY.items():
        assert f"{name}{value:.4g}" in shown
    if width >= 60:
        assert "━" in lines[0]


def test_what_is_printed_meanwhile_goes_above(clock, monkeypatch):
    console, file = terminal()
    monkeypatch.setattr(sys, "stdout", file)
    progress = Progress(1, epochs=1, console=console)
    progress.begin_epoch(0, 2)
    print("hello")
    clock.now += 1
    progress.update(1, lambda: {"loss": 1.0})
    # As by a callback that evaluates: its line goes above, too.
    inner = Progress(1, epochs=1, title="evaluate")
    run(inner)
    progress.end_epoch({"loss": 0.5})
    progress.close()
    assert sys.stdout is file
    first, second, third = screen(written(file))
    assert first == "hello"
    assert second.startswith("evaluate  3 steps")
    assert third.startswith("epoch 1/1  ━") and third.endswith("loss 0.5000")


def test_an_exception_gives_the_terminal_back(clock, monkeypatch):
    console, file = terminal()
    monkeypatch.setattr(sys, "stdout", file)
    progress = Progress(1, epochs=2, console=console)

    def fails():
        raise RuntimeError("in the logs")

    with pytest.raises(RuntimeError):
        try:
            progress.begin_epoch(0, 2)
            clock.now += 1
            progress.update(1, fails)
        finally:
            progress.close()
            progress.close()
    assert sys.stdout is file
    text = written(file)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    print("Traceback", file=file)
    lines = screen(written(file))
    assert lines[0].startswith("epoch 1/2")
    assert lines[1] == "Traceback"


def test_closing_what_never_began():
    console, file = terminal()
    progress = Progress(1, epochs=2, console=console)
    progress.close()
    assert written(file) == ""


def test_a_terminal_of_ascii(clock):
    console, file = terminal(encoding="ascii")
    progress = Progress(1, epochs=1, console=console)
    progress.begin_epoch(0, 10_000)
    clock.now += 1
    progress.update(5_000, lambda: {"λ": 1.0})
    assert screen(written(file)) == ["epoch 1/1  " + "=" * 10 + "-" * 10 + "   5000/10000  1.0s  1.0s left  ? 1.000"]
    progress.end_epoch({})
    assert "us/step" in written(file)
    progress.close()


# Real terminals and notebooks

SCRIPT = """
import sys, time
from treegy._loop._progress import Progress

def run(verbose, fails=False):
    progress = Progress(verbose, epochs=2)
    try:
        for epoch in range(2):
            progress.begin_epoch(epoch, 40)
            for step in range(40):
                time.sleep(0.01)
                if fails and epoch and step == 38:
                    1 / 0
                progress.update(step + 1, lambda: {"loss": 1.0})
            progress.end_epoch({"loss": 0.5, "a_metric_with_a_long_name": 0.25, "another_metric": 0.125})
    finally:
        progress.close()

print("begin")
"""


def in_a_terminal(script, columns, **environment):
    pty = pytest.importorskip("pty")
    termios = importlib.import_module("termios")
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (10, columns))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")} | {
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
        **environment,
    }
    command = [sys.executable, "-W", "error", "-c", script]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    output = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        output += part
    os.close(parent)
    return output.decode(), process.wait()


def test_the_bar_in_a_real_terminal():
    output, status = in_a_terminal(SCRIPT + "run('auto'); print('plain'); run(2); print('end')", 100)
    assert status == 0
    live, plain = output.split("plain\r\n")
    begin, *lines = screen(live)
    assert begin == "begin"
    assert len(lines) == 4
    for n, (line, more) in enumerate((lines[:2], lines[2:])):
        assert re.match(rf"epoch {n + 1}/2  ━{{20}}  40/40  \d+\.\ds  [\d.]+(ms|µs)/step  loss 0\.5", line)
        assert more == "    a_metric_with_a_long_name 0.2500  another_metric 0.1250"
    assert "─" in live
    assert live.count("\x1b[?25l") == live.count("\x1b[?25h") > 0
    assert "\x1b" not in plain
    first, second, end = plain.splitlines()
    assert first.startswith("epoch 1/2  40 steps") and first.endswith("another_metric 0.1250")
    assert (second[:9], end) == ("epoch 2/2", "end")


def test_an_exception_in_a_real_terminal():
    output, status = in_a_terminal(SCRIPT + "run(1, fails=True)", 160)
    assert status == 1
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    lines = screen(output)
    end = lines.index("Traceback (most recent call last):")
    assert lines[end - 1].startswith("epoch 2/2  ━")
    assert sum(line.startswith("epoch") for line in lines) == 2


def test_a_terminal_that_can_do_nothing():
    output, status = in_a_terminal(SCRIPT + "run('auto'); run(1)", 60, TERM="dumb")
    assert status == 0
    assert "\x1b" not in output
    assert len(output.splitlines()) == 5


def test_notebooks_need_no_widgets(monkeypatch, clock, capsys):
    shown = []
    ipython = types.ModuleType("IPython")
    display = types.ModuleType("IPython.display")
    monkeypatch.setattr(ipython, "get_ipython", lambda: types.SimpleNamespace(kernel=1), raising=False)
    monkeypatch.setattr(display, "display", lambda data, **kw: shown.append((data["text/plain"], kw)), raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    progress = Progress("auto", epochs=2)
    for epoch in range(2):
        progress.begin_epoch(epoch, 2)
        clock.now += 1
        progress.update(1, lambda: {"loss": 1.0})
        clock.now += 1
        progress.end_epoch({"loss": 0.5} | MANY)
    progress.close()
    ids = [kw["display_id"] for _, kw in shown]
    assert len(shown) == 6 and len(set(ids)) == 2
    assert [kw["update"] for _, kw in shown] == [False, True, True] * 2
    assert all(kw["raw"] for _, kw in shown)
    last = shown[2][0].splitlines()
    assert last[0].startswith("epoch 1/2  ━") and len(last) > 3
    assert capsys.readouterr().out == ""


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch, capsys):
    ipython = types.ModuleType("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: None, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    run(Progress("auto", epochs=1))
    assert capsys.readouterr().out.startswith("epoch 1/1  3 steps")


def test_no_standard_output_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    run(Progress("auto", epochs=1))


# While a program is compiled


def compile_something(shift):
    """What is compiled anew for each shift, and waits for no device."""
    jax.jit(lambda a: a * 2 + shift).lower(np.zeros(3, np.float32)).compile()


def test_the_bar_says_that_it_compiles(clock):
    console, file = terminal()
    progress = Progress(1, epochs=2, console=console)
    try:
        progress.begin_epoch(0, 3)
        compile_something(1.0)
        assert "compiling" not in written(file)  # not before there was something to wait for
        clock.now += 1
        compile_something(2.0)
        assert screen(written(file)) == ["epoch 1/2  ────────────────────  0/3  1.0s  compiling"]
        clock.now += 1
        progress.update(1, counted({"loss": 0.5}))
        assert "compiling" not in screen(written(file))[-1] and "loss 0.5" in screen(written(file))[-1]
        progress.end_epoch({"loss": 0.25})
        # Between epochs there is no line that would say it: callbacks may compile, and print.
        clock.now += 1
        before = written(file)
        compile_something(3.0)
        assert written(file) == before
    finally:
        progress.close()
    compile_something(4.0)
    assert "compiling" not in screen(written(file))[-1]


def test_what_another_thread_compiles_draws_nothing(clock):
    console, file = terminal()
    progress = Progress(1, epochs=2, console=console)
    try:
        progress.begin_epoch(0, 3)
        clock.now += 1
        thread = threading.Thread(target=compile_something, args=(5.0,))
        thread.start()
        thread.join()
        assert "compiling" not in written(file)
    finally:
        progress.close()
