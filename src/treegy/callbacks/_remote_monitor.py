"""`RemoteMonitor`: the metric values of every epoch, sent to a server."""

import json
from collections.abc import Mapping

import numpy as np

from .._loop._callback import Logs
from ._csv_logger import column_names
from ._epoch_logger import EpochLogger


class RemoteMonitor(EpochLogger):
    """Send the metric values of every epoch to a server, by HTTP POST.

    A server that can't be reached is warned of, once, and training continues. `evaluate` has no epochs, and so sends
    nothing.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
        timeout: float = 10.0,
    ):
        """**Arguments:**

        - `root`, `path`: where to send.
        - `field`: the field of the form that holds the metric values as JSON.
        - `headers`: of the request.
        - `send_as_json`: whether the metric values are the content itself, as `application/json`.
        - `timeout`: seconds to wait for the server.
        """
        super().__init__()
        self._url = root + path
        self._field = field
        self._headers = dict(headers or {})
        self._send_as_json = send_as_json
        self._timeout = timeout

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with self._loss.of(f"send to {self._url}"):
            self._send(epoch, logs)

    def _send(self, epoch: int, logs: Logs) -> None:
        import urllib.parse  # takes a while
        import urllib.request

        names = column_names(logs)
        content: dict[str, object] = {"epoch": epoch, **{names[name]: _plain(value) for name, value in logs.items()}}
        text = json.dumps(content)
        if self._send_as_json:
            body, kind = text.encode(), "application/json"
        else:
            body, kind = urllib.parse.urlencode({self._field: text}).encode(), "application/x-www-form-urlencoded"
        request = urllib.request.Request(self._url, body, {"Content-Type": kind, **self._headers}, method="POST")
        with urllib.request.urlopen(request, timeout=self._timeout):
            pass


def _plain(value: object) -> object:
    """JSON has no NaN: what isn't finite is sent as a string."""
    array = np.asarray(value, np.float64)
    if array.ndim:
        return [_plain(v) for v in array]
    return float(array) if np.isfinite(array) else str(float(array))
