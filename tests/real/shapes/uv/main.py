import os

from bottle import default_app, get
from waitress import serve


@get("/")
def about():
    return {"shape": "uv"}


if __name__ == "__main__":
    serve(default_app(), host="0.0.0.0", port=int(os.environ.get("PORT", "8088")))
