"""An EHR that signs its calls, and can be told to sign them wrongly."""

from __future__ import annotations

import json
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

BASE = "https://cds.example"


@cache
def rsa_key() -> RSAKey:
    """Return the one RSA key of a run; making one is slow."""
    return RSAKey.generate_key(2048, {"kid": "rsa"})


class Ehr:
    """Signs tokens with an EC key (ES384) or an RSA key (RS384); its key set lies in a file."""

    def __init__(self, keys_file: Path, issuer: str = "https://ehr.example") -> None:
        self.issuer = issuer
        self.keys_file = keys_file
        self.keys: dict[str, Any] = {
            "ES384": ECKey.generate_key("P-384", {"kid": "ec"}),
            "RS384": rsa_key(),
        }
        self.publish()

    def publish(self) -> None:
        keys_file = {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in self.keys.values()]}
        self.keys_file.write_text(json.dumps(keys_file))

    def token(
        self,
        path: str,
        *,
        algorithm: str = "ES384",
        key: Any = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a token for a path; None as a claim leaves it out."""
        now = int(time.time())
        key = key or self.keys[algorithm]
        content = {"iss": self.issuer, "aud": f"{BASE}{path}", "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
        content = {name: value for name, value in {**content, **claims}.items() if value is not None}
        head = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return jws.serialize_compact(head, json.dumps(content), key, algorithms=[algorithm])

    def signed(self, path: str, **options: Any) -> dict[str, str]:
        """Return the header of a call of a path."""
        return {"Authorization": f"Bearer {self.token(path, **options)}"}
