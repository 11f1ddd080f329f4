"""`python -m ugro_tui` is the same front door as the `ugro-tui` command."""

from ugro_tui.front import main

main()
