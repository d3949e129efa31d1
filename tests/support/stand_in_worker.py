"""A stand-in worker with one workflow and one activity, for tests of `jiesu up`."""

import asyncio

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from temporalio.worker import Worker

    from runtime.settings import load_settings
    from runtime.temporal import connect
    from workflows.contract import TASK_QUEUE


@workflow.defn
class Waits:
    """Waits for its signal."""

    def __init__(self) -> None:
        self.told: str | None = None

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.told is not None)
        return str(self.told)

    @workflow.signal
    def tell(self, text: str) -> None:
        self.told = text


@activity.defn
async def nothing() -> None:
    return


async def main() -> None:
    client = await connect(load_settings(), timeout=60)
    assert client is not None
    async with Worker(client, task_queue=TASK_QUEUE, workflows=[Waits], activities=[nothing]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
