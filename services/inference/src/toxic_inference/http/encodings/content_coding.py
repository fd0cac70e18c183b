"""Compressed bodies and answers, for every door (RFC 9110, section 8.4).

Invariant: a body is decompressed as it is read, in parts of at most `_PART_BYTES`, so that one that expands
to gigabytes reaches the body limit with little memory used. An answer is flushed with each of its parts.
"""

import zlib
from collections.abc import Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_inference.http.door import Doors
from toxic_inference.http.encodings.negotiation import quality
from toxic_inference.http.errors import MalformedRequestError, UnsupportedCodingError, problem_of

MIN_BYTES = 1_024
"""Smallest answer that is compressed."""

_PART_BYTES = 64 * 1024
_MAX_RATIO = 4
"""Compressed bytes for one byte of the body: more are only members, blocks or padding without content."""
_GZIP = 31
"""zlib's number for its largest window in gzip's format; 15 for its own, -15 without a header."""
_LEVEL = 1
_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_INCOMPRESSIBLE = ("image/", "font/", "video/", "audio/", "application/zip", "application/gzip")
_DECODED = frozenset({b"content-encoding", b"content-length"})
_BODILESS = frozenset({204, 206, 304})


class ContentCoding:
    """Decompresses bodies in gzip or deflate, and compresses answers if the client asks for gzip."""

    def __init__(self, app: ASGIApp, *, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            codings: list[str] = []
            for name, value in scope["headers"]:
                if name == b"accept-encoding" and quality(value.decode("latin-1"), "gzip", "*"):
                    send = _compressing(send)
                elif name == b"content-encoding":
                    codings += (each.strip() for each in value.decode("latin-1").lower().split(","))
            if applied := [each for each in codings if each not in {"", "identity"}]:
                if len(applied) > 1 or applied[0] not in _CODINGS:
                    error = UnsupportedCodingError(
                        f"The content coding {', '.join(applied)[:50]!r} is not accepted; send the body in "
                        "gzip, in deflate or as it is.",
                        field="Content-Encoding",
                    )
                    response = self._doors.render(problem_of(error), path=scope["path"])
                    await response(scope, receive, send)
                    return
                receive = _decompressing(receive, _Decoder(_CODINGS[applied[0]]))
                # In place, as the router writes into the same scope; the length is the compressed one's.
                scope["headers"] = [each for each in scope["headers"] if each[0] not in _DECODED]
        await self._app(scope, receive, send)


class _Decoder:
    """Decompresses a body part by part; gzip may have several members."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._ended = False
        self._read = self._written = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` adds to the body, in parts.

        Raises:
            MalformedRequestError: it isn't in this coding, or hardly has content.
        """
        # In small pieces: with each member, zlib copies what comes after it.
        for start in range(0, len(data), _PART_BYTES):
            piece = data[start : start + _PART_BYTES]
            self._read += len(piece)
            for part in self._decode(piece):
                self._written += len(part)
                yield part
            if self._read > _PART_BYTES + _MAX_RATIO * self._written:
                raise MalformedRequestError(
                    f"The body in the coding {self._coding} is larger than what is in it; send it as it is."
                )

    def _decode(self, data: bytes) -> Iterator[bytes]:
        try:
            while data or self._stream is not None:
                if self._stream is None:
                    data = data.lstrip(b"\0") if self._ended else data  # padding, as gzip itself allows
                    if not data:
                        return
                    self._stream = zlib.decompressobj(self._window(data))
                part = self._stream.decompress(data, _PART_BYTES)
                data = self._stream.unconsumed_tail
                if part:
                    yield part
                if self._stream.eof:
                    data, self._stream, self._ended = self._stream.unused_data, None, True
                elif not data and len(part) < _PART_BYTES:
                    return
        except zlib.error as error:
            raise MalformedRequestError(
                f"The body is not in the coding {self._coding}, as Content-Encoding promises."
            ) from error

    def close(self) -> None:
        """Raise `MalformedRequestError` if the body ended too early."""
        if self._stream is not None:
            raise MalformedRequestError(f"The body in the coding {self._coding} is not complete.")

    def _window(self, data: bytes) -> int:
        if self._coding == "gzip":
            return _GZIP
        if self._ended:
            raise zlib.error
        # Some clients send deflate without zlib's header, which begins with 8 in the lower half of a byte.
        return 15 if data[0] & 0x0F == zlib.DEFLATED else -15


def _decompressing(receive: Receive, decoder: _Decoder) -> Receive:
    parts: Iterator[bytes] = iter(())
    last = ended = False

    async def decompressed() -> Message:
        nonlocal parts, last, ended
        while not ended:
            if (part := next(parts, None)) is not None:
                return {"type": "http.request", "body": part, "more_body": True}
            if last:
                decoder.close()
                ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await receive()
            if message["type"] != "http.request":
                return message
            last = not message.get("more_body", False)
            parts = decoder.decode(message.get("body", b""))
        return await receive()

    return decompressed


def _compressing(send: Send) -> Send:
    stream: zlib._Compress | None = None

    async def compressed(message: Message) -> None:
        nonlocal stream
        if message["type"] == "http.response.start" and _compressible(message):
            stream = zlib.compressobj(_LEVEL, wbits=_GZIP)
            headers = MutableHeaders(scope=message)
            headers["content-encoding"] = "gzip"
            headers.add_vary_header("accept-encoding")
            del headers["content-length"]
        elif message["type"] == "http.response.body" and stream is not None:
            flush = zlib.Z_SYNC_FLUSH if message.get("more_body", False) else zlib.Z_FINISH
            body = stream.compress(message.get("body", b"")) + stream.flush(flush)
            message = {**message, "body": body}
        await send(message)

    return compressed


def _compressible(start: Message) -> bool:
    """Return whether an answer is large and its bytes may change: those of a file with ranges may not."""
    headers = Headers(raw=start["headers"])
    length = headers.get("content-length")
    return (
        start["status"] not in _BODILESS
        and (length is None or int(length) >= MIN_BYTES)
        and not {"content-encoding", "accept-ranges", "content-range", "etag"} & set(headers.keys())
        and not headers.get("content-type", "").startswith(_INCOMPRESSIBLE)
    )
