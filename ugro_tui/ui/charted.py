"""`ChartedScreen`: a screen with a chart, whose keys work wherever the focus is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from textual import on
from textual.binding import Binding, BindingType

from ugro_tui.ui.metric_chart import MetricChart
from ugro_tui.ui.screen import UgroScreen

_SAYS: Final = "The chart's keys, from any pane"


def _key(key: str, action: str) -> Binding:
    return Binding(key, f"chart('{action}')", "chart", tooltip=_SAYS, show=False)


CHART_KEYS: Final[list[BindingType]] = [
    _key("x", "axis"),
    _key("y", "log"),
    _key("o", "outliers"),
    _key("plus,equals_sign", "zoom(1)"),
    _key("minus", "zoom(-1)"),
]
"""Keys of the chart that no other part of a screen has."""

SMOOTHING: Final[list[BindingType]] = [_key("comma", "smooth(-1)"), _key("full_stop", "smooth(1)")]
"""More of them, where they are not those of something else."""


class ChartedScreen(UgroScreen):
    """Hands keys on to its chart. Subclasses have `CHART_KEYS` among their bindings."""

    @property
    def chart(self) -> MetricChart:
        """The chart."""
        return self.query_one(MetricChart)

    async def action_chart(self, action: str) -> None:
        """Have the chart do this, if it is on the screen: nobody wants to change what is not seen."""
        if self.chart.is_on_screen:
            await self.chart.run_action(action)
        else:
            self.say("that is a key of the chart: tab goes there", once=True)

    def peel_chart(self) -> bool:
        """Take the cursor or the zoom of a chart that is seen away; False where there is neither."""
        view = self.chart.view
        if self.chart.is_on_screen:
            self.chart.look(view.peeled())
        return self.chart.view != view

    @abstractmethod
    def action_metric(self) -> None:
        """Let the user choose what the chart shows."""

    @on(MetricChart.ChooseMetric)
    def _another_metric(self) -> None:
        self.action_metric()

    @on(MetricChart.Changed)
    def _looked_at_otherwise(self) -> None:
        self.show()

    @on(MetricChart.Said)
    def _chart_said(self, message: MetricChart.Said) -> None:
        self.say(message.text, once=True)
