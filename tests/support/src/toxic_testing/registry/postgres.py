"""A PostgreSQL server for tests, on the loopback address; its creator stops it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text

from toxic_testing.ports import free_port
from toxic_testing.registry.process import START_SECONDS
from toxic_testing.registry.tables import create_tables


class PostgresServer:
    """PostgreSQL in a new temporary folder.

    PostgreSQL refuses to run as root; if the tests do, it runs as the user `postgres`.

    Args:
        superuser: name of the role that it is made with.

    Raises:
        RuntimeError: PostgreSQL isn't installed, or doesn't start; the message has its output.
    """

    def __init__(self, superuser: str = "registry") -> None:
        self._superuser = superuser
        self._has_tables = False
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="toxic-postgres-"))
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        self._port = free_port()
        self._run("initdb", "-U", superuser, "-A", "trust", "-N", "-E", "UTF8")
        options = f"-p {self._port} -k {self._folder} -F -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"), "-o", options)

    def new_database(self, name: str, *, encoding: str = "UTF8", tables: bool = False) -> str:
        """Create a database, empty or with MLflow's tables, and return its SQLAlchemy address."""
        if tables and not self._has_tables:
            create_tables(f"{self._address}/template1")
            self._has_tables = True
        template = "template1" if tables else "template0"
        engine = create_engine(f"{self._address}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE \"{name}\" TEMPLATE {template} ENCODING '{encoding}'"))
        engine.dispose()
        return f"{self._address}/{name}"

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast")
        shutil.rmtree(self._folder)

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def _address(self) -> str:
        return f"postgresql://{self._superuser}@{self.host}"

    def _run(self, program: str, *arguments: str) -> None:
        # To a file, because the server keeps the output open after pg_ctl has ended; a pipe would block.
        output = self._folder / f"{program}.log"
        with output.open("wb") as log:
            ended = subprocess.run(
                [_postgres(program), "-D", str(self._folder / "data"), *arguments],
                user=self._user, group=self._user, cwd=self._folder, env={"LC_ALL": "C.UTF-8"},
                stdout=log, stderr=subprocess.STDOUT, check=False, timeout=START_SECONDS,
            )  # fmt: skip
        if ended.returncode:
            raise RuntimeError(output.read_text(encoding="utf-8"))


def _postgres(program: str) -> str:
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))]
    program_path = shutil.which(program) or (found[-1] if found else None)
    if program_path is None:
        raise RuntimeError(f"{program} isn't installed; install PostgreSQL (Debian's package `postgresql`).")
    return program_path
