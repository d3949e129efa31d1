"""Jobs of the outbox that give a command to another issue."""

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from db.outbox import Entry
from signalling import signal


class SignalJobs:
    """Repeated until the server has taken the command."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell_merged(self, job: Entry) -> None:
        """The adopted issue is told that it goes on in the older one; one that is closed by now needs no telling."""
        try:
            await signal(self._client, job.payload["issue"], "merge", job.payload["body"])
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
