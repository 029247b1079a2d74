// Draws every chart of the page, again when its width or the colour scheme changes.
// `vegaEmbed` is in scope: vl-convert bundles it, with Vega and Vega-Lite, around this file.
const charts = JSON.parse(document.getElementById("bytegap-charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const AXIS = 66; // pixels a panel's y axis and margin take
const NARROW = 560; // below this width panels stack

function fitted(item, width) {
  const spec = structuredClone(item.spec);
  const columns = width < NARROW ? 1 : item.columns;
  const panel = Math.floor(width / columns) - AXIS;
  if (spec.concat) {
    spec.columns = columns;
    for (const part of spec.concat) part.width = panel;
  } else {
    spec.width = panel;
  }
  return spec;
}

async function draw(item) {
  const place = document.getElementById(`chart-${item.name}`);
  const width = place.clientWidth;
  const config = structuredClone(item.config[dark.matches ? "dark" : "light"]);
  if (width < NARROW) config.legend.columns = 2;
  item.width = width;
  if (item.view) item.view.finalize();
  const result = await vegaEmbed(place, fitted(item, width), {
    actions: false,
    renderer: "svg",
    config,
    tooltip: { theme: dark.matches ? "dark" : "light" },
    loader: { target: "_self" },
  });
  item.view = result;
  place.dataset.drawn = dark.matches ? "dark" : "light";
}

// One after another: the page stays responsive, and the first figure appears first.
let queue = Promise.resolve();
function drawAll(wanted) {
  for (const item of charts) {
    queue = queue.then(() => (wanted(item) ? draw(item) : undefined)).catch((error) => {
      console.error(error);
      document.getElementById(`chart-${item.name}`).textContent = `This figure could not be drawn: ${error}`;
    });
  }
}

let timer;
window.addEventListener("resize", () => {
  clearTimeout(timer);
  timer = setTimeout(
    () => drawAll((item) => document.getElementById(`chart-${item.name}`).clientWidth !== item.width),
    150,
  );
});
dark.addEventListener("change", () => drawAll(() => true));
drawAll(() => true);
