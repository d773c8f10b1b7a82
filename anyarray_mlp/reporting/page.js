// Draws the charts of the page. Colours are those of its style, so nothing is drawn again when that changes.
const quiet = "var(--quiet)", ink = "var(--ink)", line = "var(--line)";
const config = {
  background: null,
  font: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
  view: { stroke: null },
  axis: { labelColor: quiet, titleColor: ink, domainColor: line, tickColor: line, gridColor: line, gridOpacity: 0.6,
    titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12, labelOverlap: true },
  axisX: { tickCount: 6 },
  legend: { labelColor: ink, titleColor: quiet, labelFontSize: 12 },
};
const options = { renderer: "svg", actions: false, ast: true, config };
const drawn = [];
for (const place of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  drawn.push(
    window.vegaEmbed(place, spec, options).catch((error) => {
      place.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    }),
  );
}
Promise.all(drawn).then(() => { document.documentElement.dataset.drawn = String(drawn.length); });
