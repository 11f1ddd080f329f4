"""Commands about the settings: `config show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui.core.text import visible
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.config import Config


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the commands; `configured` gives the settings in force."""
    commands = typer.Typer(help="The settings in force.", no_args_is_help=True)
    app.add_typer(commands, name="config")

    @commands.callback()
    def settings() -> None:
        """The settings in force."""

    @commands.command()
    def show(
        context: typer.Context,
        origin: Annotated[bool, typer.Option("--origin", help="Say where each was set.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show every setting in force: default, settings file, UGRO_* variable or flag, the later one wins."""
        config = configured(context)
        if as_json:
            print_json(
                {
                    key: {"value": value, "origin": place} if origin else value
                    for key, value, place in config.in_force()
                },
                pretty=True,
            )
        else:
            print_lines(config_lines(config, origin=origin))


def config_lines(config: Config, *, origin: bool) -> Iterator[str]:
    """A line for each setting, and with `origin` where it was set."""
    rows = [(key, _shown(value), place) for key, value, place in config.in_force()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for key, value, place in rows:
        yield (
            f"{key:<{widths[0]}}  {value:<{widths[1]}}  {visible(place)}" if origin else f"{key:<{widths[0]}}  {value}"
        )


def _shown(value: object) -> str:
    """A value as TOML would have it, but without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or value in ([], ""):
        return "not set"
    return visible(", ".join(value) if isinstance(value, list) else str(value))
