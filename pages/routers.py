"""All pages, as routers for the app."""

from typing import Final

from fastapi import APIRouter

from pages import docs, resident, shell

ROUTERS: Final[tuple[APIRouter, ...]] = (shell.static, docs.router, resident.router)
