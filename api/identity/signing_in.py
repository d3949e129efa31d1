"""Which tokens and sessions a process accepts, by its settings."""

from typing import NamedTuple

from api.identity.authenticator import LocalVerifier, NoTokens, TokenVerifier
from api.identity.embedded_provider import CLIENT, EmbeddedProvider
from api.identity.oidc import OidcVerifier, Provider
from api.identity.session import SessionParts
from api.identity.tokens import LocalTokens
from runtime.setting_types import is_local
from runtime.settings import Settings, SettingsError


class SignIn(NamedTuple):
    """How callers sign in.

    `verifier` verifies bearer tokens, `session` configures browser sign-in (None: browsers hold no session), and
    `embedded_provider` is the demo identity provider (None: this app does not serve it).
    """

    verifier: TokenVerifier
    session: SessionParts | None = None
    embedded_provider: EmbeddedProvider | None = None


def sign_in(settings: Settings) -> SignIn:
    """How callers sign in, from the settings. Raises SettingsError for an identity provider that may not be used."""
    embedded = EmbeddedProvider.of(settings) if settings.offers_provider else None
    if settings.oidc_issuer is not None:
        try:
            found = Provider(settings.oidc_issuer, plain_loopback=settings.embedded)
        except ValueError as error:
            raise SettingsError(f"JIESU_OIDC_ISSUER: {error}") from None
        client = settings.oidc_client_id
        secret = settings.oidc_client_secret.get_secret_value()
        session = _of_residents(settings) if client is None else SessionParts(found, client, settings.origin, secret)
        return SignIn(OidcVerifier(found, settings.oidc_audience), session)
    verifier = LocalVerifier(LocalTokens(settings.home)) if settings.accepts_local_tokens else NoTokens()
    if embedded is None:
        return SignIn(verifier, _of_residents(settings))
    provider = Provider(embedded.issuer, plain_loopback=True)
    return SignIn(verifier, SessionParts(provider, CLIENT, embedded.origin, trusts_roles=True), embedded)


def _of_residents(settings: Settings) -> SessionParts | None:
    """The sessions of residents who prove a phone, where phones can be proved and browsers know our origin; else None.

    Without JIESU_PUBLIC_URL the origin is not known, except on this machine: a cookie would go over any plain connection.
    """
    proves = bool(settings.sms_url.get_secret_value()) or settings.embedded
    is_known = settings.public_url is not None or is_local(settings.origin)
    return SessionParts(None, "", settings.origin) if proves and is_known else None
