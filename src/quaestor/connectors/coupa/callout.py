"""Call-outs: what a post by Coupa says. Pure.

Coupa documents neither a signature of the body nor its form ("OAuth 2.0 for Call Outs"), so that
nothing in it is read: whoever proves to be Coupa makes the requisitions due, and they are asked
for over the API. A forged call-out is refused, and a repeated one costs one request.
"""

from __future__ import annotations

from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.manifest import REQUISITIONS
from quaestor.connectors.kit.contract import Receives
from quaestor.connectors.kit.webhooks import HintReceiver
from quaestor.security.secrets import Resolve

__all__ = ["receiver"]


def receiver(config: CoupaConfig, resolve: Resolve) -> Receives:
    """Who takes the call-outs of this installation, which has a table `webhook`."""
    assert config.webhook is not None, "only a configured webhook is received"
    return HintReceiver((REQUISITIONS,), config.webhook, resolve)
