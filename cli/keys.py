"""``jiesu keys``: creates and rotates the keys of an installation while it runs. No key is ever printed.

The signing root, a key that certifies the signing keys of processes, stays on a machine without a network. Processes
read the files of all other keys.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.errors import Failure, one_line
from cli.system import run, settings
from domain.wire import truncate
from runtime.files import put_new
from security.credentials import PRIVATE, load_private, new_private, write_folder
from security.keystore import KeyStore
from security.master import MasterFile, rewrap_all
from security.namespace import NamespaceFile
from security.signing import name_of

app = typer.Typer(no_args_is_help=True, help="Keys: make, certify, rotate. None is ever printed.")
_root = typer.Typer(no_args_is_help=True, help="The offline root that certifies the keys of processes.")
_namespace = typer.Typer(no_args_is_help=True, help="The keys that encrypt whatever lies in Temporal.")
_master = typer.Typer(no_args_is_help=True, help="The keys that wrap the keys of issues.")
app.add_typer(_root, name="root")
app.add_typer(_namespace, name="namespace")
app.add_typer(_master, name="master")

MOST_DAYS: Final = 400
_EARLY: Final = timedelta(minutes=1)
"""How long before now a certificate begins, so that hosts whose time of day is behind accept it."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file that processes read.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The id of a key in it, as `add` prints it.")]


@_root.command("new")
def root_new(folder: Annotated[Path, typer.Argument(help="A folder on a machine without a network.")]) -> None:
    """Make a signing root and print its public name, which new issues pin."""
    path = folder / PRIVATE
    with one_line():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not put_new(path, new_private(), 0o600):
            raise Failure(f"{path} is there already: a root is never replaced")
        typer.echo(name_of(load_private(path).public_key()))


@app.command()
def certify(
    root: Annotated[Path, typer.Argument(metavar="ROOTFOLDER", help="The root's folder.")],
    folder: Annotated[Path, typer.Argument(metavar="PROCESSFOLDER", help="Where the process reads its key.")],
    days: Annotated[int, typer.Option(help="For how long the key is believed.", min=1, max=MOST_DAYS)],
    keep: Annotated[
        Path | None, typer.Option(help="While roots change: the folder of a key to certify by this root, too.")
    ] = None,
) -> None:
    """Make a signing key for a process, certified by the root. A running process takes it up without a restart."""
    now = truncate(datetime.now(UTC))
    with one_line():
        private: Ed25519PrivateKey = load_private(root / PRIVATE)
        if root.resolve() == folder.resolve():
            raise Failure("the root's folder is not one for a process")
        write_folder(folder, private, now - _EARLY, now + timedelta(days=days), kept=keep)
    typer.echo(
        f"{folder}: certified until {now + timedelta(days=days):%Y-%m-%d %H:%M} UTC by {name_of(private.public_key())}"
    )


@_namespace.command("new")
def namespace_new(file: File) -> None:
    """Make a key file with its first key. All processes of an installation share this file, for ever."""
    with one_line():
        _refuse_existing(file)
        typer.echo(f"{file}: encrypts with {NamespaceFile.made(file).current.primary}")


@_namespace.command("add")
def namespace_add(file: File) -> None:
    """Add a key that encrypts nothing yet, and print its id. Give the file to every host, then promote the key."""
    with one_line():
        typer.echo(NamespaceFile(file).add())


@_namespace.command("promote")
def namespace_promote(file: File, key: KeyId) -> None:
    """Encrypt with this key from now on. Every process must have the key before."""
    with one_line():
        NamespaceFile(file).promote(key)
    typer.echo(f"{file}: encrypts with {key}")


@_namespace.command("retire")
def namespace_retire(
    file: File, key: KeyId, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Take a key away for good.

    Wait until Temporal has forgotten every history that began before another key was promoted in its place.
    """
    if not yes:
        typer.confirm("Open issues that began under it would stand still for ever. Take it away?", abort=True)
    with one_line():
        NamespaceFile(file).retire(key)
    typer.echo(f"{file}: {key} is gone; what it encrypted can be read no more")


@_master.command("new")
def master_new(file: File) -> None:
    """Make a key file with its first key."""
    with one_line():
        _refuse_existing(file)
        typer.echo(f"{file}: wraps with {MasterFile.made(file).primary}")


@_master.command("add")
def master_add(file: File) -> None:
    """Add a key that wraps nothing yet, and print its id. Give the file to every host, then rotate to the key."""
    with one_line():
        typer.echo(MasterFile(file).add())


@_master.command("rotate")
def master_rotate(file: File, key: KeyId) -> None:
    """Wrap the keys of issues with this key from now on, and all present ones anew. If cut short, run it again."""
    chosen = settings()
    with one_line():
        MasterFile(file).promote(key)
        moved, stuck = run(_rewrap(file, chosen.key_store_url))
    typer.echo(f"{file}: wraps with {key}; {moved} keys of issues were wrapped anew")
    if stuck:
        raise Failure(f"no master key in the file opens those of {len(stuck)} issues: {', '.join(stuck[:5])}")


@_master.command("remove")
def master_remove(file: File, key: KeyId) -> None:
    """Take a key away for good. The command is refused while this key still wraps the key of an issue."""
    chosen = settings()
    with one_line():
        run(_remove(file, key, chosen.key_store_url))
    typer.echo(f"{file}: {key} is gone")


async def _rewrap(file: Path, url: str) -> tuple[int, tuple[str, ...]]:
    store = KeyStore(url)
    try:
        found = await rewrap_all(MasterFile(file), store)
    finally:
        await store.close()
    return found.moved, found.stuck


async def _remove(file: Path, key: str, url: str) -> None:
    store = KeyStore(url)
    try:
        await MasterFile(file).remove(key, store)
    finally:
        await store.close()


def _refuse_existing(path: Path) -> None:
    """Raises Failure if the file exists: replacing its keys would lose the data encrypted with them."""
    if path.exists():
        raise Failure(f"{path} is there already: `add` puts a further key into it")
