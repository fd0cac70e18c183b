"""tools.sh, on machines that are made of a folder of programs."""

import subprocess
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools.sh"
EVERYTHING = [
    *("postgresql", "nodejs", "npm", "golang-go", "golang-google-api-dev", "chromium"),
    *(
        "fonts-dejavu-core",
        "prometheus",
        "prometheus-alertmanager",
        "caddy",
        "dnsmasq-base",
        "iproute2",
        "curl",
        "openssl",
    ),
]
APT = """
echo "$*" >>"$TOOLS_ROOT/apt.log"
[ "$1" = update ] || ls "$TOOLS_ROOT/usr/sbin" >"$TOOLS_ROOT/policy.log"
"""


class Machine:
    """A machine with the programs in `usr/bin` below a folder, and a few of this one's shell."""

    def __init__(self, folder: Path, *, user: int) -> None:
        self.folder = folder
        self.bin = folder / "usr" / "bin"
        self.bin.mkdir(parents=True)
        (folder / "usr" / "sbin").mkdir()
        for name in ("sh", "rm", "chmod", "ls"):
            (self.bin / name).symlink_to(f"/bin/{name}")
        self.has("id", f"echo {user}")

    def has(self, program: str, script: str = "exit 0") -> None:
        """Install a program, as a shell script."""
        path = self.bin / program
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def has_every_tool(self) -> None:
        """Install everything that the tests use, as Debian does."""
        for folder in ("share/gocode/src/google.golang.org/api", "share/fonts/truetype/dejavu"):
            (self.folder / "usr" / folder).mkdir(parents=True)
        for program in (
            "initdb",
            "pg_ctl",
            "node",
            "npm",
            "go",
            "chromium",
            "prometheus",
            "promtool",
            "amtool",
            "caddy",
            "dnsmasq",
            "ip",
            "curl",
            "openssl",
        ):
            self.has(program)
        self.has("prometheus-alertmanager")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run tools.sh."""
        environment = {"PATH": str(self.bin), "TOOLS_ROOT": str(self.folder)}
        return subprocess.run(
            [TOOLS, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=30
        )

    @property
    def apt(self) -> list[str]:
        """The command lines that apt-get was called with."""
        log = self.folder / "apt.log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of root's without any tool."""
    return Machine(tmp_path, user=0)


@pytest.fixture
def users_machine(tmp_path: Path) -> Machine:
    """Return the same machine for a user who isn't root."""
    return Machine(tmp_path, user=1000)


def test_complete_machine_is_left_alone_within_a_second(machine: Machine) -> None:
    """The check runs before every test run, so it must be fast."""
    machine.has("apt-get", APT)
    machine.has_every_tool()
    began = time.monotonic()
    checked = machine.run("", "tests")
    assert time.monotonic() - began < 1
    assert (checked.returncode, checked.stdout, checked.stderr, machine.apt) == (0, "", "", [])


def test_root_gets_every_missing_package(machine: Machine) -> None:
    """A bare machine gets all of them, without recommended packages."""
    machine.has("apt-get", APT)
    installed = machine.run("", "tests")
    assert installed.returncode == 0, installed.stderr
    assert machine.apt == [
        "update -qq",
        f"install -y -qq --no-install-recommends {' '.join(EVERYTHING)}",
    ]


def test_the_slow_clients_need_more_languages(machine: Machine) -> None:
    """Only `make clients` installs Java, Ruby, PHP and R."""
    machine.has("apt-get", APT)
    machine.has_every_tool()
    assert machine.run("", "clients").returncode == 0
    (installed,) = machine.apt[1:]
    assert {"default-jdk-headless", "ruby-google-api-client", "php-cli", "r-base-core"} <= {
        *installed.split()
    }


@pytest.mark.parametrize(
    ("program", "package"),
    [("node", "nodejs"), ("promtool", "prometheus"), ("amtool", "prometheus-alertmanager")],
)
def test_only_missing_packages_are_installed(machine: Machine, program: str, package: str) -> None:
    """What is there stays as it is, such as a vendor's npm, which Debian's would conflict with."""
    machine.has("apt-get", APT)
    machine.has_every_tool()
    (machine.bin / program).unlink()
    assert machine.run("", "tests").returncode == 0
    assert machine.apt[1:] == [f"install -y -qq --no-install-recommends {package}"]


def test_postgresql_is_found_in_debians_folder(machine: Machine) -> None:
    """Debian keeps the server's programs off the path."""
    machine.has_every_tool()
    (machine.bin / "initdb").unlink()
    folder = machine.folder / "usr" / "lib" / "postgresql" / "15" / "bin"
    folder.mkdir(parents=True)
    (folder / "initdb").symlink_to("/bin/true")
    assert machine.run("", "tests").returncode == 0


def test_no_service_is_started(machine: Machine) -> None:
    """Debian's policy refuses every start during the installation, and only then."""
    machine.has("apt-get", APT)
    machine.run("", "tests")
    assert (machine.folder / "policy.log").read_text(encoding="utf-8") == "policy-rc.d\n"
    assert list((machine.folder / "usr" / "sbin").iterdir()) == []


def test_a_policy_of_the_machines_own_stays(machine: Machine) -> None:
    """Containers often have one."""
    machine.has("apt-get", APT)
    policy = machine.folder / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("mine", encoding="utf-8")
    machine.run("", "tests")
    assert policy.read_text(encoding="utf-8") == "mine"


def test_passwordless_sudo_installs(users_machine: Machine) -> None:
    """A developer's own machine, or a hosted CI runner."""
    users_machine.has("apt-get", APT)
    users_machine.has("sudo", 'shift; exec "$@"')
    users_machine.has("true")
    users_machine.has_every_tool()
    (users_machine.bin / "chromium").unlink()
    installed = users_machine.run("", "tests")
    assert (installed.returncode, installed.stderr) == (0, "")
    assert users_machine.apt[1:] == ["install -y -qq --no-install-recommends chromium"]


@pytest.mark.parametrize("sudo", [None, "exit 1"], ids=["no sudo", "sudo asks for a password"])
def test_without_root_the_one_command_is_printed(users_machine: Machine, sudo: str | None) -> None:
    """No package is installed, and the command can be pasted."""
    users_machine.has("apt-get", APT)
    if sudo:
        users_machine.has("sudo", sudo)
    users_machine.has_every_tool()
    for program in ("chromium", "npm"):
        (users_machine.bin / program).unlink()
    stopped = users_machine.run("", "tests")
    assert stopped.returncode == 1
    assert stopped.stderr == (
        "make: Programs that are needed are missing. Install them, then run make again:\n\n"
        "  sudo apt-get install --no-install-recommends npm chromium\n\n"
    )
    assert users_machine.apt == []


def test_without_apt_the_packages_are_named(machine: Machine) -> None:
    """Another system has its own installer and names."""
    stopped = machine.run("", "tests")
    assert stopped.returncode == 1
    assert all(package in stopped.stderr for package in EVERYTHING)


def test_a_failed_installation_is_reported(machine: Machine) -> None:
    """A machine without a network must not go on to run tests."""
    machine.has("apt-get", "echo 'no network' >&2; exit 100")
    failed = machine.run("", "tests")
    assert failed.returncode == 1
    assert "no network" in failed.stderr
    assert "Installing postgresql" in failed.stderr


@pytest.mark.parametrize(("has_ensurepip", "apt"), [(False, ["python3.11-venv"]), (True, [])])
def test_debians_python_gets_its_venv_package(
    machine: Machine, *, has_ensurepip: bool, apt: list[str]
) -> None:
    """`make demo` needs no other package than this one."""
    machine.has("apt-get", APT)
    machine.has(
        "python3.11",
        f"case $2 in *find_spec*) exit {int(not has_ensurepip)} ;; esac; echo python3.11-venv",
    )
    assert machine.run("python3.11").returncode == 0
    assert [line.rpartition(" ")[2] for line in machine.apt[1:]] == apt


def test_another_python_is_left_to_its_owner(machine: Machine) -> None:
    """No Debian package mends a Python that Debian didn't build."""
    machine.has("apt-get", APT)
    own = machine.folder / "python"
    own.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    own.chmod(0o755)
    assert machine.run(str(own)).returncode == 0
    assert machine.apt == []


@pytest.mark.parametrize("arguments", [[], ["", "test"]])
def test_wrong_usage_is_explained(machine: Machine, arguments: list[str]) -> None:
    """A misspelt group is an error."""
    machine.has("apt-get", APT)
    assert machine.run(*arguments).returncode == 1
    assert machine.apt == []


def test_everything_is_asked_for_at_once(users_machine: Machine) -> None:
    """A user who installs what is missing isn't stopped a second time."""
    users_machine.has("apt-get", APT)
    users_machine.has("python3.11", "case $2 in *find_spec*) exit 1 ;; esac; echo python3.11-venv")
    assert f"python3.11-venv {' '.join(EVERYTHING)}\n" in users_machine.run("python3.11", "tests").stderr
