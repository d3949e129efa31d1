"""What it costs that an acknowledged command survives a power cut: signals with and without flushes, in turn.

`python bench/synchronous.py [ROUNDS]`. The floor is one flush of this disk. A virtual or a consumer disk may
acknowledge a flush that it has not made; then this shows the price of the call, not of the safety.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from runtime.devserver import DevServer
from runtime.ports import free_port
from runtime.settings import Settings

ISSUES = 20
PACED = 400
CLOSED = 1200
CONCURRENCY = 30


def flush_ms(folder: Path) -> float:
    """Median of a write of one page and its flush."""
    took: list[float] = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def measure(synchronous: str) -> tuple[float, float]:
    """Signal p50 in ms, one after another, and signals per second at the concurrency."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), temporal_port=free_port(), temporal_ui_port=free_port())
        server = DevServer(settings, synchronous)
        await server.start()
        try:
            client = await server.connect()
            handles = [await client.start_workflow("Issue", id=f"i{n}", task_queue="none") for n in range(ISSUES)]
            took: list[float] = []
            for n in range(PACED):
                began = time.perf_counter()
                await handles[n % ISSUES].signal("accept", "x" * 300)
                took.append(time.perf_counter() - began)
            door = asyncio.Semaphore(CONCURRENCY)

            async def one(n: int) -> None:
                async with door:
                    await handles[n % ISSUES].signal("accept", "x" * 300)

            began = time.perf_counter()
            await asyncio.gather(*(one(n) for n in range(CLOSED)))
            return statistics.median(took) * 1e3, CLOSED / (time.perf_counter() - began)
        finally:
            await server.stop()


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"floor: one flush {flush_ms(Path(folder)):.3f} ms")
    kinds = ["FULL", "NORMAL", "OFF"]
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        # Turned round each time, so that whatever slows the machine down slows each of them down.
        for kind in kinds if number % 2 else reversed(kinds):
            found[kind].append(await measure(kind))
    for kind, results in found.items():
        latency, rate = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{kind:<7} signal p50 {latency:5.2f} ms   {rate:4.0f} signals/s at concurrency {CONCURRENCY}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
