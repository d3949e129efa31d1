"""What is read is readable: lines begin with no full stop, numbers stay whole, lights need no colour; without a stream too."""

import pytest
from playwright.async_api import expect

from browsers.engine import Visits
from browsers.place import Place, door_of

LINES = """() => {
  const wrong = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (!node.parentElement.checkVisibility() || node.parentElement.closest('script,option')) continue;
    let last = null;
    for (let at = 0; at < node.data.length; at++) {
      range.setStart(node, at); range.setEnd(node, at + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) continue;
      if (last !== null && box.top > last + 4 && ',，。、;；:：!！?？)）》”'.includes(node.data[at])) wrong.push(node.data.slice(at - 4, at + 4));
      if (last !== null && box.top > last + 4 && node.parentElement.closest('.whole')) wrong.push('cut: ' + node.data);
      last = box.top;
    }
  }
  return wrong;
}"""
"""Lines that begin with a sign that ends something, and numbers and codes that two lines share."""
LIGHTS = """() => ['red', 'yellow', 'green'].map(name => {
  const card = document.createElement('div');
  card.className = 'card ' + name;
  card.innerHTML = '<p class="light"><span class="shape"></span></p>';
  document.body.appendChild(card);
  const shape = getComputedStyle(card.querySelector('.shape'), '::before').content;
  card.remove();
  return shape;
})"""


@pytest.mark.check(10)
async def test_no_line_begins_with_a_full_stop_and_no_number_is_cut(place: Place, visits: Visits) -> None:
    words = "厨房漏水,水从楼上滴下来。" * 6 + "电话、门牌、钥匙,都在值班室;请先打电话,再上门。"
    taken = await place.reported(compound="jinpen", description=words)
    page = await visits.page()
    await page.set_viewport_size({"width": 320, "height": 700})
    await page.goto(door_of(taken))
    for size in ("100%", "130%", "200%"):
        await page.evaluate("size => document.documentElement.style.fontSize = size", size)
        assert await page.evaluate(LINES) == [], size


@pytest.mark.check(10)
async def test_a_light_is_a_shape_of_its_own_and_a_word(place: Place, visits: Visits) -> None:
    taken = await place.reported()
    page = await visits.page()
    await page.goto(door_of(taken))
    assert len({*await page.evaluate(LIGHTS)}) == 3, "who sees no colour sees shapes"
    assert (await page.locator(".light").first.inner_text()).strip(), "and reads a word"


@pytest.mark.check(5)
async def test_a_browser_without_streams_says_so_and_looks_for_itself(place: Place, visits: Visits) -> None:
    taken = await place.reported(compound="jinpen")
    page = await visits.page()
    await page.add_init_script("delete window.EventSource")
    await page.clock.install()
    await page.goto(door_of(taken))
    await expect(page.locator("#live")).to_contain_text("没有连上")
    await place.give(taken, "accept", who="calm repairman")
    await place.until_told(taken, "accepted")
    await page.clock.fast_forward(16_000)
    await expect(page.locator(".story")).to_contain_text("已签收")
    await expect(page.locator("#live")).to_contain_text("没有连上")
