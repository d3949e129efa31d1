"""A stand-in API that only reports ready, for tests of `jiesu up`."""

from http.server import BaseHTTPRequestHandler, HTTPServer

from runtime.settings import load_settings


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


if __name__ == "__main__":
    settings = load_settings()
    HTTPServer((settings.api_host, settings.api_port), Ready).serve_forever()
