"""Downloads from a server of this process: whole, resumed, cut and wrong."""

import http.server
import threading

import pytest
from typer.testing import CliRunner

from fgmanifolds.cli import app
from fgmanifolds.data import download, load_images, sources
from fgmanifolds.data.checksums import sha256_of
from tests.data import archives


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one content; may stop in the middle of it, and knows ranges."""

    content, stops_after, asked, ranges = b"", None, [], True

    def do_GET(self):
        start = 0
        asked = self.headers.get("Range")
        self.asked.append(asked)
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        rest = self.content[start:]
        self.wfile.write(rest if self.stops_after is None else rest[: self.stops_after])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of a small CIFAR-10 archive, in the place of the official one."""
    (tmp_path / "there").mkdir()
    path = archives.write_cifar(tmp_path / "there")
    handler = type("Handler", (Server,), {"content": path.read_bytes(), "asked": []})
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{httpd.server_port}"
    file = sources.SourceFile(path.name, base, sha256_of(path))
    monkeypatch.setitem(sources.SOURCES, "cifar10", (file,))
    yield handler
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_data_set_is_downloaded_once_and_read(tmp_path, server):
    seen = []
    paths = download("cifar10", tmp_path / "data", lambda *now: seen.append(now))
    assert paths[0].read_bytes() == server.content
    assert seen[-1] == ("cifar-10-python.tar.gz", len(server.content), len(server.content))
    assert load_images("cifar10", data_dir=tmp_path / "data", download=True).classes == 5
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_stopped_goes_on(tmp_path, server, ranges):
    server.stops_after, server.ranges = 100_000, ranges
    with pytest.raises(OSError):  # noqa: PT011
        download("cifar10", tmp_path)
    part = tmp_path / "cifar-10-python.tar.gz.part"
    assert part.read_bytes() == server.content[: 1 << 16]
    server.stops_after = None
    assert download("cifar10", tmp_path)[0].read_bytes() == server.content
    assert server.asked == [None, "bytes=65536-"]
    assert not part.exists()


def test_what_is_wrong_is_not_kept(tmp_path, server):
    server.content = server.content[:-1] + b"x"
    with pytest.raises(ValueError, match="hash"):
        download("cifar10", tmp_path)
    assert not (tmp_path / "cifar-10-python.tar.gz").exists()


def test_the_command_line_downloads(tmp_path, server):
    arguments = ["reproduce", "XII", "--rows", "euclidean", "--model", "cnn", "--epochs", "1"]
    arguments += ["--batch-size", "8", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, [*arguments, "--download"])
    assert "error: --download needs --data-dir" in refused.output
    arguments += ["--data-dir", str(tmp_path / "data")]
    found = CliRunner().invoke(app, [*arguments, "--download"])
    assert found.exit_code == 0, found.output
    assert "cifar-10-python.tar.gz, bytes" in found.output
    assert (tmp_path / "data" / "cifar-10-python.tar.gz").read_bytes() == server.content
    assert "model cnn (not resnet44)" in (tmp_path / "out" / "XII.md").read_text()


def test_unknown_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name='digits' is unknown; allowed: 'mnist'"):
        download("digits", tmp_path)
