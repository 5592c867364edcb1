"""An S3 server, moto's, behind a gate that lets some requests fail as object stores do."""

import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import s3fs
from botocore.config import Config
from moto.moto_server.threaded_moto_server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SECRET = "less-flow-test-secret-that-nobody-may-see"
SLOW = 1.0  # seconds before a slow answer
STATUS = {
    "500": ("500 Internal Server Error", "InternalError"),
    "503": ("503 Slow Down", "SlowDown"),
    "429": ("429 Too Many Requests", "TooManyRequests"),
    "403": ("403 Forbidden", "AccessDenied"),
}
# refused: dropped before anything is done; lost: all is done, and no answer comes; cut: the answer ends in the middle.
FAULTS = ("500", "503", "429", "slow", "refused", "lost", "cut")


@dataclass
class Gate:
    """Counts requests by what they ask and faults by their kind; which requests fail is drawn by a seed."""

    inner: Callable[..., Iterable[bytes]]
    share: float = 0.0
    kinds: tuple[str, ...] = FAULTS
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.fail(0.0)

    def fail(self, share: float, kinds: tuple[str, ...] = FAULTS, *, seed: int = 0, after: int = 0) -> None:
        """Let this share of the requests fail, once so many have passed; count from nothing."""
        with self._lock:
            self.share, self.kinds, self._after, self._random = share, kinds, after, random.Random(seed)
            self.requests, self.faults = Counter(), Counter()

    def _draw(self, asked: str) -> str:
        with self._lock:
            self.requests[asked] += 1
            fails = self._random.random() < self.share and self.requests.total() > self._after
            kind = self._random.choice(self.kinds) if fails else ""
            self.faults[kind] += bool(kind)
            return kind

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        listing = environ["REQUEST_METHOD"] == "GET" and "list-type" in environ["QUERY_STRING"]
        kind = self._draw("LIST" if listing else environ["REQUEST_METHOD"])
        if kind in STATUS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, code = STATUS[kind]
            body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>injected {code}</Message></Error>".encode()
            start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
        if kind == "refused":
            raise ConnectionResetError("injected")
        if kind == "slow":
            time.sleep(SLOW)
        if kind not in ("lost", "cut"):
            return self.inner(environ, start_response)
        answer: list[Any] = []
        body = b"".join(self.inner(environ, lambda *arguments: answer.extend(arguments)))
        if kind == "lost":
            raise ConnectionResetError("injected")
        start_response(*answer)
        return _cut(body)


def _cut(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError("injected")


@dataclass(frozen=True)
class ObjectStore:
    """The server, and a client of it that is not ours."""

    gate: Gate
    address: str

    def client(self) -> Any:
        retries = Config(retries={"max_attempts": 20})
        return boto3.client(
            "s3", endpoint_url=self.address, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1", config=retries
        )

    def make_bucket(self) -> str:
        """Make a bucket of its own and return its address."""
        name = f"less-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def put(self, address: str, content: bytes) -> str:
        """Put an object there behind our back; return its address."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.client().put_object(Bucket=bucket, Key=key, Body=content)
        return address

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return all objects of a bucket."""
        client, name = self.client(), bucket.removeprefix("s3://")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True  # else the client would wait for an answer until it has had enough


@contextmanager
def serving_objects() -> Iterator[ObjectStore]:
    """Serve until the block ends; in it, s3:// leads there for this process and those that it starts, by the environment alone."""
    gate = Gate(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=_Quiet)
    address = f"http://127.0.0.1:{server.server_port}"
    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "less-flow-test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in environment}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    os.environ.update(environment)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield ObjectStore(gate, address)
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.shutdown()
        thread.join()
        server.server_close()
