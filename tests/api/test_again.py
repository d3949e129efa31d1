"""The client of the tests asks again, also beside a client whose API lacks something; a busy machine fails no test."""

import httpx

from support.again import Again, client_of, something_is_away


def busy_once() -> httpx.MockTransport:
    answers = iter((503, 200))
    return httpx.MockTransport(lambda _: httpx.Response(next(answers)))


async def test_a_client_beside_an_api_that_lacks_something_asks_again() -> None:
    async with client_of("http://lacking", whole=False), Again(transport=busy_once()) as client:
        assert (await client.get("http://whole/")).status_code == 200


async def test_a_503_is_an_answer_where_something_is_away() -> None:
    async with Again(transport=busy_once()) as client:
        with something_is_away():
            assert (await client.get("http://whole/")).status_code == 503
