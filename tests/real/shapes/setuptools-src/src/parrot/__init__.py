import json

from waitress import serve


def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"shape": "setuptools-src"}).encode()]


def main():
    serve(answer, host="0.0.0.0", port=9090)
