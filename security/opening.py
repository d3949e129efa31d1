"""Builds signer, vault and data converter from the settings; generates missing keys in the embedded default."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from temporalio.converter import DataConverter

from runtime.causes import DAMAGED, MISSING
from runtime.files import read_or_create
from runtime.settings import PUT_BACK, Settings, SettingsError, variable
from security.codec import converter
from security.credentials import CredentialsError, Folder, OwnRoot, Signer, load_private, new_private
from security.keys import Keys
from security.keystore import KeyStore
from security.master import MasterError, MasterFile
from security.namespace import NamespaceError, NamespaceFile
from security.vault import Vault

_GIVEN: Final = ("signing_keys", "namespace_keys", "master_keys", "key_store")
"""Settings that name keys. A deployment must have them: its hosts share the keys, so no process may generate them."""


def open_keys(settings: Settings) -> Keys:
    """Signer, vault and data converter of this process. Raises SettingsError, in one line, if a key is missing."""
    _check(settings, *_GIVEN)
    vault = Vault(open_key_store(settings), open_masters(settings))
    return Keys(open_signer(settings), vault, open_converter(settings))


def open_signer(settings: Settings) -> Signer:
    """The signer of commands. Raises SettingsError if its keys are missing or unusable."""
    _check(settings, "signing_keys")
    try:
        if settings.signing_keys is not None:
            signer = Signer(Folder(settings.signing_keys))
        else:
            signer = Signer(OwnRoot(load_private(settings.signing_root)))
        assert signer.root  # loads the keys, so that a process without them does not start
    except CredentialsError as error:
        raise SettingsError(str(error)) from None
    return signer


def open_converter(settings: Settings) -> DataConverter:
    """The data converter that encrypts payloads for Temporal. Raises SettingsError if its keys are unusable."""
    _check(settings, "namespace_keys")
    keys = NamespaceFile(settings.namespace_keys_file)
    try:
        assert keys.current.primary
    except NamespaceError as error:
        raise SettingsError(str(error)) from None
    return converter(keys)


def open_masters(settings: Settings) -> MasterFile:
    """The file with the master keys. Raises SettingsError if it is missing or unusable."""
    _check(settings, "master_keys")
    masters = MasterFile(settings.master_keys_file)
    try:
        assert masters.primary
    except MasterError as error:
        raise SettingsError(str(error)) from None
    return masters


def open_key_store(settings: Settings) -> KeyStore:
    """The key store. Raises SettingsError if it is neither set nor made yet."""
    _check(settings, "key_store")
    return KeyStore(settings.key_store_url)


async def prepare_keys(settings: Settings, *, has_issues: bool) -> None:
    """Creates the tables of the key store, and generates keys that are missing and that the settings do not name.

    A lost key is not replaced: if the installation `has_issues` and one of its keys is missing, it raises
    SettingsError. Raises KeyStoreDown.
    """
    own = _own(settings)
    missing = [path for path in own.values() if not path.exists()]
    # Only where the database is shared may a home with issues be new.
    if has_issues and missing and (settings.embedded_database or len(missing) < len(own)):
        raise lost(missing[0])
    for path in own.values():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if "secret" in own:
        read_or_create(settings.secret_file, lambda: secrets.token_hex(32).encode())
    if "signing_keys" in own:
        read_or_create(settings.signing_root, new_private)
    if "namespace_keys" in own:
        NamespaceFile.made(settings.namespace_keys_file)
    if "master_keys" in own:
        MasterFile.made(settings.master_keys_file)
    store = KeyStore(settings.key_store_url)
    try:
        await store.prepare()
    finally:
        await store.close()


def unfit_key(settings: Settings) -> str | None:
    """What is wrong with a key file: its name, and MISSING or DAMAGED; None if nothing is. Blocks.

    Processes go on with the keys in their memory, so nobody else notices before the next start.
    """
    found = _unfit(settings)
    return found and f"{found[0].name} {found[1]}"


def check_keys(settings: Settings) -> None:
    """Raises SettingsError, in one line, if a key file is missing or damaged."""
    if found := _unfit(settings):
        raise SettingsError(f"{found[0]} is {found[1]}: put it back from a backup")


def _unfit(settings: Settings) -> tuple[Path, str] | None:
    files: dict[Path, Callable[[Settings], object]] = {
        settings.namespace_keys_file: open_converter, settings.master_keys_file: open_masters,
        settings.signing_keys or settings.signing_root: open_signer,
    }  # fmt: skip
    if settings.secret is None and settings.embedded_database:
        files[settings.secret_file] = Settings.server_secret
    for path, read in files.items():
        try:
            read(settings)
        except (SettingsError, OSError):
            return path, DAMAGED if path.exists() else MISSING
    return None


def lost(path: Path) -> SettingsError:
    """The refusal to go on without a key that issues need."""
    return SettingsError(f"{path} is missing, and issues on record need it: put it back from a backup")


def _own(settings: Settings) -> dict[str, Path]:
    """The files of the keys that this installation generates, each under the setting that could name another file."""
    if not settings.makes_keys:
        return {}
    files = {
        "signing_keys": settings.signing_root, "namespace_keys": settings.namespace_keys_file,
        "master_keys": settings.master_keys_file, "key_store": settings.home / "keys" / "issues.db",
    }  # fmt: skip
    if settings.embedded_database:
        files["secret"] = settings.secret_file
    return {name: path for name, path in files.items() if not getattr(settings, name)}


def _check(settings: Settings, *names: str) -> None:
    """Raises SettingsError if one of these settings names no keys and no keys were generated in its place."""
    missing = [name for name in names if not getattr(settings, name)]
    if missing and not settings.makes_keys:
        raise SettingsError("must be set in a deployment: " + ", ".join(map(variable, missing)))
    own = _own(settings)
    for name in missing:
        if not own[name].exists():
            raise SettingsError(f"{own[name]} is missing: {PUT_BACK}")
