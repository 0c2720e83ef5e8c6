"""How long a case page takes in Chromium on loopback until the film is there and the keys work.

    python benchmarks/case_page.py [--pages 20]

Starts a service of its own, sends it the film of pydicom-data, and opens its page in fresh and in used browsers.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from cds.demo.film import demo_film
from cds.demo.record import ISSUER
from cds.demo.state import DemoState
from tests.end_to_end.cds_processes import KEY, Served, served, wait_for

_CHROMIUM = "/usr/bin/chromium"
_READY = """() => new Promise((resolve) => {
  const look = () => {
    const film = document.getElementById("film");
    const ready = document.documentElement?.dataset.ready && film && film.complete && film.naturalWidth > 0;
    if (ready) resolve([performance.now(), performance.getEntriesByType("navigation")[0].responseEnd]);
    else setTimeout(look, 5);
  };
  look();
})"""


def film_in(service: Served, folder: Path) -> str:
    """Return the id of the film once it is analysed."""
    film = demo_film(DemoState.of(folder / "film"), patient_id="BENCH-1", issuer=ISSUER)
    with service.client() as client:
        sent = client.post("/api/v1/studies", content=film, headers={"Content-Type": "application/dicom"}).json()
        address = f"/api/v1/studies/{sent['study_id']}"
        wait_for(lambda: client.get(address).json()["status"] == "analysed", "the result of the film")
    return str(sent["study_id"])


def opened(browser: Browser, service: Served, film_id: str, pages: int, *, fresh: bool) -> list[tuple[float, float]]:
    """Return (ready, page received) in milliseconds since navigation began, of each opening."""
    times = []
    context = None
    for _ in range(pages):
        if fresh or context is None:
            context = browser.new_context(http_credentials={"username": "tests", "password": KEY})
        page = context.new_page()
        page.goto(f"{service.address}/films/{film_id}", wait_until="commit")
        ready, received = page.evaluate(_READY)
        times.append((float(ready), float(received)))
        page.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=20)
    pages = parser.parse_args().pages
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as service, sync_playwright() as driver:
        film_id = film_in(service, Path(name))
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for fresh, words in ((True, "fresh browser"), (False, "film in its cache")):
            times = opened(browser, service, film_id, pages, fresh=fresh)
            ready = sorted(time for time, _ in times)
            print(
                f"{words:18s} ready: median {statistics.median(ready):.0f} ms, "
                f"90th percentile {ready[int(0.9 * (len(ready) - 1))]:.0f} ms, longest {ready[-1]:.0f} ms; "
                f"page received: median {statistics.median(received for _, received in times):.0f} ms"
            )
        browser.close()


if __name__ == "__main__":
    main()
