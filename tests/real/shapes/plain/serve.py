import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"shape": "plain"}).encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("", 7000), Handler).serve_forever()
