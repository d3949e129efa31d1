"""Where an installation's keys are, and what lies sealed: opens them for a process, and makes what the embedded default lacks."""

import tomllib
from typing import Final

from temporalio.converter import DataConverter

from domain.retention import DEFAULT, Retention, read_retention
from domain.wire import WireError
from security.codec import converter
from security.credentials import CredentialsError, Folder, OwnRoot, Signer, new_private, parse_private
from security.keys import Keys
from security.keystore import KeyStore
from security.master import MasterError, MasterFile
from security.namespace import NamespaceError, NamespaceFile
from security.vault import Vault
from settings import Settings, SettingsError, read_or_create, variable
from shelf import Shelf

_GIVEN: Final = ("signing_keys", "namespace_keys", "master_keys", "key_store")
"""What a deployment is given; on several hosts no process can make them alone."""


def open_keys(settings: Settings) -> Keys:
    """What this process signs and seals with. Raises SettingsError, in one line, where something is missing."""
    _check_given(settings, *_GIVEN)
    vault = Vault(open_key_store(settings), open_masters(settings))
    return Keys(open_signer(settings), vault, open_converter(settings))


def open_signer(settings: Settings) -> Signer:
    """Raises SettingsError."""
    _check_given(settings, "signing_keys")
    try:
        if settings.signing_keys is not None:
            signer = Signer(Folder(settings.signing_keys))
        else:
            path = settings.signing_root
            signer = Signer(OwnRoot(parse_private(path, read_or_create(path, new_private))))
        assert signer.root  # read now, so that a process without keys does not start
    except CredentialsError as error:
        raise SettingsError(str(error)) from None
    return signer


def open_converter(settings: Settings) -> DataConverter:
    """With it a client encrypts what it gives to Temporal. Raises SettingsError."""
    _check_given(settings, "namespace_keys")
    path = settings.namespace_keys_file
    try:
        keys = NamespaceFile.made(path) if settings.namespace_keys is None else NamespaceFile(path)
        assert keys.held.primary
    except NamespaceError as error:
        raise SettingsError(str(error)) from None
    return converter(keys)


def open_masters(settings: Settings) -> MasterFile:
    """Raises SettingsError."""
    _check_given(settings, "master_keys")
    path = settings.master_keys_file
    try:
        masters = MasterFile.made(path) if settings.master_keys is None else MasterFile(path)
        assert masters.primary
    except MasterError as error:
        raise SettingsError(str(error)) from None
    return masters


def open_key_store(settings: Settings) -> KeyStore:
    """Raises SettingsError."""
    _check_given(settings, "key_store")
    return KeyStore(settings.key_store_url)


async def prepare_keys(settings: Settings) -> None:
    """Makes the key store's table, and what the embedded default lacks. Raises SettingsError, KeyStoreDown."""
    open_keys(settings)
    store = open_key_store(settings)
    try:
        await store.prepare()
    finally:
        await store.close()


def open_retention(settings: Settings) -> Retention:
    """For how long what people wrote is kept. Raises SettingsError."""
    if settings.retention is None:
        return DEFAULT
    try:
        return read_retention(tomllib.loads(settings.retention.read_text("utf-8")))
    except (WireError, ValueError, OSError) as error:
        raise SettingsError(f"{settings.retention}: {str(error).splitlines()[0]}") from None


def open_shelf(settings: Settings) -> Shelf:
    """Where pictures lie. Raises SettingsError."""
    try:
        return Shelf(settings.attachments_url)
    except Exception as error:  # noqa: BLE001 - a folder's, or one of those of the bucket's library
        raise SettingsError(f"{variable('attachments')} cannot be opened: {type(error).__name__}") from None


def _check_given(settings: Settings, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if missing and not settings.makes_keys:
        raise SettingsError("must be set in a deployment: " + ", ".join(map(variable, missing)))
