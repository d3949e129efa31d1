"""All pages, as routers for the app."""

from typing import Final

from fastapi import APIRouter

from pages import (
    again,
    desk,
    docs,
    door,
    doors,
    mine,
    people,
    phone,
    photos,
    places,
    report,
    resident,
    search,
    shell,
    staff,
    start,
    tracking,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    shell.static,
    docs.router,
    start.router,
    desk.router,
    search.router,
    door.router,
    doors.router,
    people.router,
    places.router,
    phone.router,
    mine.router,
    photos.router,
    report.router,
    resident.router,
    staff.router,
    again.router,
    tracking.router,
    shell.nowhere,
)
"""A path that is fixed comes before one with parts that vary; the page of what is not there is last."""
