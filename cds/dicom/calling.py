"""An association with a node of the site, by TLS where its entry says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association

from cds.dicom.nodes import Node
from cds.errors import DeliveryError

SECONDS = 30.0


@contextlib.contextmanager
def called(
    node: Node,
    our_title: str,
    contexts: Sequence[tuple[str, str | None]],
    *,
    roles: Sequence[Any] = (),
    seconds: float = SECONDS,
) -> Iterator[Association]:
    """Call a node, and release the association at the end.

    contexts  (SOP class, transfer syntax; None: those every node has) to ask for
    roles     SCP/SCU role selection items to negotiate
    seconds   to wait for an answer to a message

    Raises DeliveryError where there is no association.
    """
    entity = AE(our_title)
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, *([syntax] if syntax else []))
    entity.connection_timeout = entity.acse_timeout = SECONDS
    entity.dimse_timeout = entity.network_timeout = seconds
    association = entity.associate(
        node.host,
        node.port,
        ae_title=node.ae_title,
        ext_neg=list(roles),
        tls_args=(node.context, node.host) if node.context is not None else None,
    )
    if not association.is_established:
        refused = association.is_rejected
        raise DeliveryError("the association was rejected" if refused else "no association could be made")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
