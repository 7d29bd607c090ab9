"""Time as a parameter: a month of a program's life, with a disaster every day, in seconds."""

import trio

import derivtrio
from derivtrio.simulator import open_simulator

DAY, DAYS = 86_400, 30
DISASTERS = ("drop", "freeze", "close:1001", "refuse:600")


async def main() -> None:
    """Ask for the time every noon; let something break every morning."""
    faults = [f"{DISASTERS[day % 4]}@{day * DAY + 21_600}" for day in range(DAYS)]
    settings = derivtrio.Settings(heartbeat_interval=110, heartbeat_timeout=10)
    async with (
        open_simulator(port=None, start=1_800_000_000, faults=faults) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
    ):
        late = 0.0
        for day in range(DAYS):
            await trio.sleep_until(day * DAY + 43_200)
            epoch = (await client.call({"time": 1}))["time"]
            late = max(late, epoch - 1_800_000_000 - day * DAY - 43_200)
        ends = sorted({record.ending.cause for record in sim.history})
        print(f"{trio.current_time() / DAY:.1f} days, {DAYS} noons, the latest {late:g} s late")
        print(f"{sim.accepted} connections; the lost ones ended with:", ", ".join(ends))
