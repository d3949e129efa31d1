"""A resident who reports by hand: what he types and taps, with script and without."""

from playwright.async_api import Page, expect

WORDS = "厨房漏水,水从楼上滴下来"


async def fill(page: Page, words: str = WORDS, compound: str = "demo") -> None:
    """Goes through the three steps up to the answers that are to be checked."""
    await page.goto("/report")
    await page.locator("#compound").select_option(compound)
    await page.locator("#building").fill("3")
    await page.locator("#where").fill("2单元501")
    await page.locator("#go").click()
    await page.locator("#description").fill(words)
    await page.locator("#go").click()
    await page.locator("#phone").fill("13912345678")
    await page.locator("#go").click()
    await expect(page.locator("#check")).to_contain_text(words)


async def report(page: Page, words: str = WORDS, compound: str = "demo") -> str:
    """Reports, and returns the id of the issue; the page tells its number and code then."""
    await fill(page, words, compound)
    await page.locator("#go").click()
    return await sent(page)


async def fill_plainly(page: Page, words: str = WORDS) -> None:
    """Fills the one long form that a browser without script shows."""
    await page.locator("#compound").select_option("demo")
    await page.locator("#where").fill("2单元501")
    await page.locator("#description").fill(words)
    await page.locator("#go").click()


async def elsewhere(page: Page, path: str) -> Page:
    """A new tab of the same device at this path, once the old one is closed and the network is there again."""
    context = page.context
    await page.close()
    await context.set_offline(False)
    page = await context.new_page()
    await page.goto(path)
    return page


async def sent(page: Page) -> str:
    """The id of the issue whose number and code the page tells."""
    await page.wait_for_url("**/sent")
    return page.url.split("/")[-2]
