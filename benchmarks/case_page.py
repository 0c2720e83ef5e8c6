"""How long a case page takes in Chromium on loopback until the film is there and the keys work.

    python benchmarks/case_page.py [--pages 20]

Starts a service of its own, sends it the film of pydicom-data, and opens its page in fresh browsers, with the picture
that was drawn on arrival and, as the baseline, with none (every page decodes the film), by turns; then in a used one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext, sync_playwright

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


def opening(context: BrowserContext, service: Served, film_id: str) -> tuple[float, float]:
    """Return (ready, page received) in milliseconds since navigation began."""
    page = context.new_page()
    page.goto(f"{service.address}/films/{film_id}", wait_until="commit")
    ready, received = page.evaluate(_READY)
    page.close()
    return float(ready), float(received)


def forget_pictures(service: Served) -> None:
    for picture in service.folder.glob("data/blobs/derived/*"):
        picture.unlink()


def said(times: list[tuple[float, float]]) -> str:
    ready = sorted(time for time, _ in times)
    return (
        f"ready: median {statistics.median(ready):.0f} ms, "
        f"90th percentile {ready[int(0.9 * (len(ready) - 1))]:.0f} ms, longest {ready[-1]:.0f} ms; "
        f"page received: median {statistics.median(received for _, received in times):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=20)
    pages = parser.parse_args().pages
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as service, sync_playwright() as driver:
        film_id = film_in(service, Path(name))
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])

        def new() -> BrowserContext:
            return browser.new_context(http_credentials={"username": "tests", "password": KEY})

        kept, drawn = [], []
        for _ in range(pages):
            kept.append(opening(new(), service, film_id))
            forget_pictures(service)
            drawn.append(opening(new(), service, film_id))
        used = new()
        opening(used, service, film_id)
        again = [opening(used, service, film_id) for _ in range(pages)]
        ratio = statistics.median(ready for ready, _ in kept) / statistics.median(ready for ready, _ in drawn)
        print(f"fresh browser       {said(kept)}\n  film drawn anew   {said(drawn)}\nfilm in its cache   {said(again)}")
        print(f"ratio to drawn anew {ratio:.2f}")
        browser.close()


if __name__ == "__main__":
    main()
