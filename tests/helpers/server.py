"""Server on this machine for tests of downloads."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server:
    """Server of a folder's files under /good/, other bytes under /changed/, half under /cut/, errors elsewhere."""

    def __init__(self, files: Path) -> None:
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                mirror, _, name = self.path.removeprefix("/").partition("/")
                found = mirror in ("good", "changed", "cut") and (files / name).is_file()
                body = (files / name).read_bytes() if found else b"not here"
                body = body[::-1] if mirror == "changed" else body
                self.send_response(200 if found else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if mirror == "cut" else body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def mirror(self, name: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{name}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
