"""A trivial CDS Hooks server on `healthchain`: one patient-view service that returns one card.

    python -m venv elsewhere && elsewhere/bin/pip install healthchain
    elsewhere/bin/python benchmarks/healthchain_server.py PORT

Runs with healthchain's own environment, not with that of this project: `cds conformance` and benchmarks/order_load.py
call it over HTTP, the one to show that the kit is not made for our server, the other to print its throughput.
"""

from __future__ import annotations

import sys

import uvicorn
from healthchain.gateway import CDSHooksService, HealthChainAPI
from healthchain.gateway.cds import CDSHooksConfig
from healthchain.models import Card, CDSRequest, CDSResponse
from healthchain.models.responses.cdsresponse import IndicatorEnum, Source

# By default discovery is at /cds/cds-discovery, which no CDS Hooks client asks for.
hooks = CDSHooksService(config=CDSHooksConfig(discovery_path="/cds-services"))


@hooks.hook("patient-view", id="greeter", title="Greeter", description="Greets")
def greet(request: CDSRequest) -> CDSResponse:
    card = Card(summary="Hello", indicator=IndicatorEnum.info, source=Source(label="Greeter"), detail="A greeting.")
    return CDSResponse(cards=[card])


def main() -> None:
    app = HealthChainAPI()
    app.register_service(hooks)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
