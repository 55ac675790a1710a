"""How durations are written."""


def duration(seconds: float) -> str:
    """Return `1.2s`, `3m07s`, `2h05m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"


def short_duration(seconds: float) -> str:
    """Return `12µs`, `3.4ms`, or longer ones as `duration` does."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f}µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g}ms"
    return duration(seconds)
