"""Pages as PDF, printed by a browser or a converter of this machine: labkit has none of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from labkit.errors import CaptureError, MissingError
from labkit.i18n import _, printable

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WEASYPRINT = "weasyprint"
SECONDS = 120
"""How long one page may take."""
OPTIONS = (
    *("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-pdf-header-footer"),
)
DATE = re.compile(rb"(?<=Date \(D:)\d{14}")


class Printer:
    """Print HTML pages. MissingError if this machine has no program that can."""

    def __init__(self) -> None:
        found = [path for path in map(shutil.which, (*BROWSERS, WEASYPRINT)) if path is not None]
        if not found:
            text = _(
                "no program prints PDF here; on Debian: apt install chromium. Any browser prints the HTML page, too"
            )
            raise MissingError(text)
        self.program = found[0]
        """The program's path."""

    def __call__(self, page: str) -> bytes:
        """The page as PDF. The same program makes the same bytes of it. CaptureError if it fails."""
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "page.html"), Path(folder, "page.pdf")
            source.write_text(page, "utf-8")
            try:
                done = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
                    self._command(source, target), capture_output=True, timeout=SECONDS, check=False
                )
                return DATE.sub(b"20000101000000", target.read_bytes())
            except FileNotFoundError:
                lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [str(done.returncode)]
                reason = printable(lines[-1][:200])
            except subprocess.TimeoutExpired:
                reason = _("not ready after {n} seconds").format(n=SECONDS)
        raise CaptureError(_("{program} cannot print the page: {reason}").format(program=self.program, reason=reason))

    def _command(self, source: Path, target: Path) -> list[str]:
        if Path(self.program).name == WEASYPRINT:
            return [self.program, str(source), str(target)]
        # Chromium's sandbox refuses root. The page is labkit's own, and runs nothing.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        own = f"--user-data-dir={source.parent}/profile"
        return [self.program, *OPTIONS, *root, own, f"--print-to-pdf={target}", source.as_uri()]
