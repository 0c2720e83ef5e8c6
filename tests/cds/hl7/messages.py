"""HL7 v2 messages as a RIS and a registration system send them, of patient 4711 of the hospital NORTH."""

from __future__ import annotations

from collections.abc import Sequence

TEXT = ("PA and lateral views of the chest.", "No pneumothorax.", "A 12 mm nodule in the right upper lobe.")


def msh(
    kind: str, control_id: str = "1", *, charset: str = "UNICODE UTF-8", processing_id: str = "P", enhanced: str = ""
) -> str:
    return (
        f"MSH|^~\\&|RIS|NORTH|CDS|NORTH|20260301110000+0000||{kind}|{control_id}|{processing_id}|2.5.1|||{enhanced}|||"
        f"{charset}"
    )


def oru(
    lines: Sequence[str] = TEXT,
    *,
    status: str = "F",
    issued: str = "20260301110000+0000",
    order: str = "R1",
    number: str = "4711",
    control_id: str = "1",
    observation_status: str = "F",
    accession: str = "A1",
    **header: str,
) -> bytes:
    """Return an ORU^R01 with one report, one OBX a line."""
    segments = [
        msh("ORU^R01^ORU_R01", control_id, **header),
        f"PID|1||{number}^^^NORTH^MR~999^^^ELSEWHERE||PLANTED^NAME||19500102|F",
        f"OBR|1|P{order}|{order}^RIS|71046^XR CHEST 2 VIEWS^C4|||20260301101500|||||||||||"
        f"{accession}||||{issued}|||{status}",
        *(
            f"OBX|{number}|TX|71046&GDT^^C4||{line}||||||{observation_status}"
            for number, line in enumerate(lines, start=1)
        ),
        "ZDS|2.25.2^RIS^Application^DICOM",
    ]
    return ("\r".join(segments) + "\r").encode()


def merge(old: str, new: str, *, at: str = "20260301110000+0000", control_id: str = "1") -> bytes:
    """Return an ADT^A40: `old` is merged into `new`."""
    segments = [
        msh("ADT^A40^ADT_A39", control_id),
        f"EVN|A40|{at}",
        f"PID|1||{new}^^^NORTH^MR||PLANTED^NAME||19500102|F",
        f"MRG|{old}^^^NORTH^MR",
    ]
    return ("\r".join(segments) + "\r").encode()


def verdict(acknowledgement: bytes) -> tuple[str, str]:
    """Return the code of an acknowledgement and the control id it is for."""
    msa = next(line for line in acknowledgement.decode().split("\r") if line.startswith("MSA"))
    _, code, control_id, *_ = msa.split(msa[3])
    return code, control_id


def reason(acknowledgement: bytes) -> str:
    """Return the application's error code of a refusal."""
    err = next(line for line in acknowledgement.decode().split("\r") if line.startswith("ERR"))
    return err.split(err[3])[5]
