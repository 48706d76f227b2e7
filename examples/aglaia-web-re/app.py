"""A small web service: says which version of it runs, and in which environment."""

import os
import signal
import sys

from flask import Flask
from waitress import serve

app = Flask(__name__)


@app.get("/")
def about():
    return {
        "service": "aglaia-web-re",
        "greeting": "Hello",
        "version": os.environ.get("VERSION", "unknown"),
        "env": os.environ.get("ENV", "unknown"),
    }


@app.get("/healthz")
def healthy():
    return {"status": "ok"}


if __name__ == "__main__":
    # The first process of a container gets no default handlers: without one, each stop would take ten seconds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(app, host="0.0.0.0", port=8080)  # noqa: S104 - inside its container
