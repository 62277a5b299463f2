"""What can go wrong with the embedded server. An error's docstring is its message.

EmbeddedServerError
├── BinariesMissing             the optional dependency is not installed
├── ServerAccountMissing        root found no unprivileged account to initialise with
├── DataDirectoryRefused        the place cannot be used as a data directory
├── ClusterMissing              the recorded place of the data is gone
├── ClusterInitFailed           initdb ended with an error
├── SettingRefused              a setting would break what the embedded server promises
├── UnsafeSocketDirectory       someone else could reach the socket
├── ServerDidNotStart           the server ended, or was not ready in time
├── ServerDidNotStop            the server did not end in time
└── ServerOwned                 a living process owns the server; it has to stop it
"""

from __future__ import annotations

from quaestor.store.errors import StoreError

__all__ = [
    "BinariesMissing",
    "ClusterInitFailed",
    "ClusterMissing",
    "DataDirectoryRefused",
    "EmbeddedServerError",
    "ServerAccountMissing",
    "ServerDidNotStart",
    "ServerDidNotStop",
    "ServerOwned",
    "SettingRefused",
    "UnsafeSocketDirectory",
]


class EmbeddedServerError(StoreError):
    """The embedded database server cannot be used."""


class BinariesMissing(EmbeddedServerError):
    """The embedded server needs the optional dependency: install `quaestor[embedded]`."""


class ServerAccountMissing(EmbeddedServerError):
    """PostgreSQL does not run as root, and there is no account `nobody` to initialise it with."""


class DataDirectoryRefused(EmbeddedServerError):
    """The data directory cannot be used."""


class ClusterMissing(EmbeddedServerError):
    """The data directory points to a database elsewhere, and that is gone."""


class ClusterInitFailed(EmbeddedServerError):
    """The database cluster could not be initialised."""


class SettingRefused(EmbeddedServerError):
    """This server setting is not for the caller to choose."""


class UnsafeSocketDirectory(EmbeddedServerError):
    """The socket directory is not private: it must belong to the server's account, mode 0700."""


class ServerDidNotStart(EmbeddedServerError):
    """The embedded database server did not start."""


class ServerDidNotStop(EmbeddedServerError):
    """The embedded database server did not stop in time."""


class ServerOwned(EmbeddedServerError):
    """A running process owns the embedded server; stop that process."""
