"""Logs of a real process."""

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from toxic_core.logging import configure_logging

configure_logging(level={level!r})
log = structlog.get_logger("toxic.test")
{body}
"""


def records(body: str, *, level: str = "INFO") -> list[dict[str, object]]:
    """Run `body` in a process with logging configured and return its lines of stdout, parsed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level, body=body)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_event_is_one_line_of_json() -> None:
    """The event's name, facts, level, logger and UTC time are keys; line breaks are escaped."""
    (record,) = records("log.info('servable.loaded', version=3, note='two\\nlines')")
    assert str(record.pop("timestamp")).endswith("Z")
    assert record == {
        "event": "servable.loaded",
        "version": 3,
        "note": "two\nlines",
        "level": "info",
        "logger": "toxic.test",
    }


def test_the_standard_librarys_records_look_the_same() -> None:
    """A library's log lines are the same objects, with their arguments formatted."""
    (record,) = records("logging.getLogger('library').warning('took %d ms', 12)")
    assert (record["event"], record["level"], record["logger"]) == ("took 12 ms", "warning", "library")
    assert "timestamp" in record


def test_an_exception_stays_on_its_line() -> None:
    """A traceback is a key of the record, from structlog and from the standard library alike."""
    body = """
for error_log in (log, logging.getLogger("library")):
    try:
        raise ValueError("broken")
    except ValueError:
        error_log.exception("load.failed")
"""
    for record in records(body):
        assert record["event"] == "load.failed"
        assert record["level"] == "error"
        assert "Traceback" in str(record["exception"])
        assert "ValueError: broken" in str(record["exception"])


def test_the_level_holds_for_both() -> None:
    """Records below the level are dropped; its name is case-insensitive."""
    body = """
log.info("dropped")
logging.getLogger("library").info("dropped")
log.warning("kept")
logging.getLogger("library").warning("kept")
"""
    assert [record["event"] for record in records(body, level="warning")] == ["kept", "kept"]


def test_facts_bound_to_a_request_are_on_its_records() -> None:
    """Context variables are on every record until they are cleared."""
    body = """
structlog.contextvars.bind_contextvars(request_id="r1")
log.info("first")
logging.getLogger("library").warning("second")
structlog.contextvars.clear_contextvars()
log.info("third")
"""
    assert [record.get("request_id") for record in records(body)] == ["r1", "r1", None]


def test_a_fact_that_json_cannot_hold_is_written_as_text() -> None:
    """A path, an error or a lone surrogate doesn't lose the line."""
    body = (
        "from pathlib import Path; log.info('odd', path=Path('a/b'), error=ValueError('x'), text='\\ud800')"
    )
    (record,) = records(body)
    assert "a/b" in str(record["path"])
    assert "ValueError" in str(record["error"])


def test_configuring_twice_writes_each_record_once() -> None:
    """A second call replaces the handler."""
    body = "configure_logging(); log.info('once'); logging.getLogger('library').info('once')"
    assert [record["event"] for record in records(body)] == ["once", "once"]
