"""Where an installation's keys are: opens them for a process, and makes those of the embedded default."""

from typing import Final

from security.credentials import CredentialsError, Folder, OwnRoot, Signer, new_private, parse_private
from security.keys import Keys
from security.keystore import KeyStore
from security.master import MasterError, MasterFile
from security.vault import Vault
from settings import Settings, SettingsError, read_or_create, variable

_GIVEN: Final = ("signing_keys", "namespace_keys", "master_keys", "key_store")
"""What a deployment is given; on several hosts no process can make them alone."""


def open_keys(settings: Settings) -> Keys:
    """What this process signs and seals with. Raises SettingsError, in one line, where something is missing."""
    _check_given(settings)
    return Keys(open_signer(settings), Vault(open_key_store(settings), open_masters(settings)))


def open_signer(settings: Settings) -> Signer:
    """Raises SettingsError."""
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


def open_masters(settings: Settings) -> MasterFile:
    """Raises SettingsError."""
    path = settings.master_keys_file
    try:
        masters = MasterFile.made(path) if settings.master_keys is None else MasterFile(path)
        assert masters.primary
    except MasterError as error:
        raise SettingsError(str(error)) from None
    return masters


def open_key_store(settings: Settings) -> KeyStore:
    return KeyStore(settings.key_store_url)


async def prepare_keys(settings: Settings) -> None:
    """Makes the key store's table, and what the embedded default lacks. Raises SettingsError, KeyStoreDown."""
    open_keys(settings)
    store = open_key_store(settings)
    try:
        await store.prepare()
    finally:
        await store.close()


def _check_given(settings: Settings) -> None:
    missing = [name for name in _GIVEN if not getattr(settings, name)]
    if missing and not settings.makes_keys:
        raise SettingsError("must be set in a deployment: " + ", ".join(map(variable, missing)))
