"""What a remote reader is told in words, without the patient in it: the question, and the report if it goes along."""

from __future__ import annotations

import io

import pydicom

from cds.deidentify.dataset import identity_of, known_words
from cds.deidentify.pseudonyms import Pseudonyms
from cds.deidentify.report import deidentified_report
from cds.store.keyring import Keyring

_PROJECT = "project-second-opinion"


class RemoteWords:
    """Takes the patient of a film out of texts about it; the same patient's dates always move alike."""

    def __init__(self, keyring: Keyring, film: bytes) -> None:
        header = pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True, force=True)
        self._pseudonyms = Pseudonyms(keyring.key(_PROJECT))
        self._identity, self._known = identity_of(header), known_words(header)

    def clean(self, text: str) -> str:
        """Return a text without names, numbers, places and true dates, and no word of the film's header that names."""
        return deidentified_report(text, self._pseudonyms, self._identity, self._known)
