"""The unit file as it lies in the repository; needs no container."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "inferwatch.service"
REPORT = FOLDER / "inferwatch-report.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze and return how it ended."""
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )


def settings() -> list[str]:
    """Return the settings of the unit, without comments and blank lines."""
    lines = UNIT.read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("drop_in", [None, *sorted(FOLDER.glob("inferwatch.service.d/*"))])
def test_systemd_understands_the_unit(drop_in: Path | None, tmp_path: Path):
    """`systemd-analyze verify` has nothing to say, with each drop-in and without."""
    program = tmp_path / "venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/inferwatch/", f"{tmp_path}/"), "utf-8")
    if drop_in is not None:
        copy = tmp_path / f"{UNIT.name}.d" / drop_in.name.removesuffix(".example")
        copy.parent.mkdir()
        shutil.copy(drop_in, copy)

    verified = analyze("verify", "--man=no", str(unit))

    complaints = [line for line in verified.stdout.splitlines() if UNIT.name in line]
    assert (verified.returncode, complaints) == (0, [])


def test_systemd_understands_the_report_and_its_timer(tmp_path: Path):
    """`systemd-analyze verify` has nothing to say of either, and the timer is for the service."""
    program = tmp_path / "venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    units = [tmp_path / REPORT.name, tmp_path / REPORT.with_suffix(".timer").name]
    for unit in units:
        text = (FOLDER / unit.name).read_text("utf-8")
        unit.write_text(text.replace("/opt/inferwatch/", f"{tmp_path}/"), "utf-8")

    verified = analyze("verify", "--man=no", *map(str, units))

    complaints = [line for line in verified.stdout.splitlines() if "inferwatch-report" in line]
    assert (verified.returncode, complaints) == (0, [])


def test_the_timer_has_a_time():
    """`systemd-analyze calendar` knows when the next report is due."""
    text = REPORT.with_suffix(".timer").read_text("utf-8")
    (when,) = re.findall(r"^OnCalendar=(.*)$", text, re.MULTILINE)

    assert analyze("calendar", when).returncode == 0


def test_the_report_is_exposed_even_less():
    """It needs no GPU, no process and no network: `systemd-analyze security` gives 1.5 or less."""
    judged = analyze("security", "--offline=true", "--threshold=15", str(REPORT))

    assert judged.returncode == 0, judged.stdout


def test_exposure_is_little():
    """`systemd-analyze security` gives the unit 2.1 or less."""
    judged = analyze("security", "--offline=true", "--threshold=21", str(UNIT))

    assert judged.returncode == 0, judged.stdout


def test_gpus_and_engines_stay_visible():
    """Nothing in the unit hides device nodes or processes, not even by implication."""
    hiding = ("PrivateDevices", "ProtectClock", "DevicePolicy", "DeviceAllow", "ProtectProc",
        "ProcSubset", "PrivateUsers", "PrivateNetwork")  # fmt: skip

    assert [line for line in settings() if line.partition("=")[0] in hiding] == []
