"""Old phones: the engines of 2020 and 2021 report, follow and accept."""

import pytest

from browsers.others.conftest import Old
from browsers.others.device import Device
from browsers.place import Place

pytestmark = pytest.mark.engines
WORDS = "楼道灯不亮,看不清台阶"


async def test_a_resident_reports_and_sees_it_climb_without_loading_again(place: Place, old: Old) -> None:
    device = await old()
    await device.open(f"{place.origin}/report")
    await device.choose("#compound", "demo")
    await device.type("#where", "2单元501")
    await device.tap("#go")
    await device.type("#description", WORDS)
    await device.tap("#go")
    await device.tap("#go")
    await device.until_it_says("#check", WORDS)
    await device.tap("#go")
    await device.until_at("/sent")
    await device.tap("main a.main")
    await device.until_it_says(".story", WORDS)
    await device.until_it_says("#live", "页面会自动更新")
    await device.run("window.stays = true")
    await device.until_it_says(".story", "已提级")
    assert await device.run("return window.stays"), "the page was loaded again"


async def test_a_resident_reports_and_follows_by_plain_forms(place: Place, old: Old) -> None:
    device = await old(scripts=False)
    await device.open(f"{place.origin}/report")
    await device.choose("#compound", "demo")
    await device.type("#where", "2单元501")
    await device.type("#description", WORDS)
    await device.tap("#go")
    await device.tap("button[value=send]")  # the answers, to be checked
    await device.until_at("/sent")
    await device.tap("main a.main")
    await device.until_it_says(".story", WORDS)


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "plain"])
async def test_staff_accept(scripts: bool, place: Place, old: Old) -> None:
    taken, device = await place.reported(compound="jinpen"), await old(scripts=scripts)
    await _sign_in(place, device)
    await device.open(f"{place.origin}/work/{taken['id']}")
    await device.tap("form[action$='/accept'] button.main")
    await place.until_told(taken, "accepted")
    await device.until_it_says("main", "已签收")


async def _sign_in(place: Place, device: Device) -> None:
    """As the property company of `jinpen`, where nothing climbs meanwhile. These engines do not know `:has`."""
    await device.open(f"{place.origin}/work")
    await device.until(
        "const it = [...document.forms].find(it => it.org && it.org.value === 'jinpen-property');"
        "if (it) it.querySelector('button').id = 'mine'; return Boolean(it)"
    )
    await device.tap("#mine")
    await device.until_at("/work")
    await device.until_it_says("nav", "金盆物业")
