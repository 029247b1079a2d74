// Draws the figures, the visible ones first, and again when the width, the colour scheme or the selected arms change;
// makes their legends and points accessible by keyboard. Computes no numbers.
// `vegaEmbed` is in scope: vl-convert bundles it, with Vega and Vega-Lite, around this file.
const charts = JSON.parse(document.getElementById("bytegap-charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const wide = window.matchMedia("(min-width: 75rem)"); // as in page.css: contents at the side of the page
const AXIS_WIDTH = 66; // pixels of a panel's y axis and margin, unless drawing shows that they are wider
const NARROW_WIDTH = 560; // below this width panels are stacked
const MIN_PANEL_WIDTH = 200;
const MANY_PANELS = 6; // above this number stacked panels are drawn with less height

const containerOf = (chart) => document.getElementById(`chart-${chart.name}`);

// --- arms that are shown or hidden, stored in the URL as #off=ARM,ARM

const switches = [...document.querySelectorAll("#arms input")];
const hidden = new Set();

function readHash() {
  if (!location.hash.startsWith("#off=")) return;
  const names = location.hash.slice(5).split(",").map(decodeURIComponent);
  hidden.clear();
  for (const input of switches) if (names.includes(input.value)) hidden.add(input.value);
}

function updateSwitches() {
  for (const input of switches) input.checked = !hidden.has(input.value);
  document.getElementById("arms-on").textContent = `${switches.length - hidden.size} of ${switches.length} drawn`;
}

function setArms(names, shown) {
  for (const name of names) shown ? hidden.delete(name) : hidden.add(name);
  const hash = hidden.size ? `#off=${[...hidden].map(encodeURIComponent).join(",")}` : "";
  history.replaceState(null, "", location.href.split("#")[0] + hash);
  updateSwitches();
  drawAll();
}

const armsOf = (row) => row.arms ?? (row.arm ? [row.arm] : []);

// The chart without the data of hidden arms; null if no data of any arm is left.
function withoutHidden(spec) {
  const ofArms = new Set(); // names of datasets with data of arms; reference lines are never removed
  const empty = new Set();
  for (const [name, rows] of Object.entries(spec.datasets)) {
    if (rows.some((row) => armsOf(row).length)) ofArms.add(name);
    spec.datasets[name] = rows.filter((row) => !armsOf(row).some((arm) => hidden.has(arm)));
    if (!spec.datasets[name].length) empty.add(name);
  }
  const layerNames = new Set();
  const filtered = (panel) => {
    const layers = panel.layer ?? [panel];
    const datasetOf = (layer) => (layer.data ?? panel.data ?? spec.data).name;
    const armLayers = layers.filter((layer) => ofArms.has(datasetOf(layer)));
    if (armLayers.length && armLayers.every((layer) => empty.has(datasetOf(layer)))) return null;
    const remaining = layers.filter((layer) => !empty.has(datasetOf(layer)));
    // If the layer with the legend's selection is removed, another takes its name and with it the selection.
    const successor = remaining.findLast((layer) => layer.encoding.color);
    for (const layer of layers) if (layer.name && !remaining.includes(layer)) successor.name ??= layer.name;
    for (const layer of remaining) {
      layerNames.add(layer.name);
      for (const channel of [layer.encoding.color, layer.encoding.shape]) {
        if (channel?.field !== "arm" || channel.legend === null) continue;
        const shown = channel.legend?.values ?? channel.scale.domain;
        channel.legend = { ...channel.legend, values: shown.filter((arm) => !hidden.has(arm)) };
      }
    }
    return panel.layer ? { ...panel, layer: remaining } : panel;
  };
  const result = spec.concat ? { ...spec, concat: spec.concat.map(filtered).filter(Boolean) } : filtered(spec);
  if (!result || result.concat?.length === 0) return null;
  for (const selection of result.params ?? []) {
    selection.views = selection.views.filter((name) => layerNames.has(name));
  }
  return result;
}

// --- other versions of figures: another study's frontiers

const alternatives = new Set(); // names of the figures of which the other version is shown
const specOf = (chart) => structuredClone(alternatives.has(chart.name) ? chart.alternative : chart.spec);

for (const input of document.querySelectorAll(".switch input")) {
  input.parentNode.hidden = false;
  input.addEventListener("change", () => {
    input.checked ? alternatives.add(input.dataset.figure) : alternatives.delete(input.dataset.figure);
    drawAll();
  });
}

// --- drawing

const columnsOf = (chart, width) =>
  width < NARROW_WIDTH ? 1 : Math.max(1, Math.min(chart.columns, Math.floor(width / MIN_PANEL_WIDTH)));

// The chart's specification for a width in pixels.
function sized(spec, chart, width) {
  if (!spec.concat) {
    // Names of baselines are right of the plot, or within it where that would leave it too little width.
    if (width < NARROW_WIDTH) {
      for (const { mark } of spec.layer) {
        if (mark.style === "baseline-name" && mark.dx > 0) Object.assign(mark, { align: "right", dx: -2 });
      }
    }
    return { ...spec, width, autosize: { type: "fit-x", contains: "padding" } };
  }
  const columns = columnsOf(chart, width);
  const panelWidth = Math.floor(width / columns - (chart.axisWidth ?? AXIS_WIDTH));
  for (const panel of spec.concat) {
    panel.width = panelWidth;
    if (columns === 1 && spec.concat.length > MANY_PANELS) panel.height = Math.min(panel.height, 140);
  }
  return { ...spec, columns };
}

// The labels of each legend of a chart, by field.
function legendLabels(spec) {
  const labels = new Map(); // by field: colour and shape of one field share a legend
  for (const layer of (spec.concat ?? [spec]).flatMap((panel) => panel.layer ?? [panel])) {
    for (const channel of [layer.encoding.color, layer.encoding.shape, layer.encoding.strokeDash]) {
      if (channel?.scale?.domain && channel.legend !== null) {
        labels.set(channel.field, channel.legend?.values ?? channel.scale.domain);
      }
    }
  }
  return [...labels.values()];
}

const labelWidth = (label) => Math.min(260, 7 * label.length) + 36; // pixels, with its marker

function configured(chart, width, scheme) {
  const config = structuredClone(chart.config[scheme]);
  const legends = legendLabels(specOf(chart));
  const widths = legends.flat().map(labelWidth);
  const inOneRow = widths.reduce((sum, each) => sum + each, 0);
  const top = { anchor: "start", bounds: width < NARROW_WIDTH ? "full" : "flush" };
  if (legends.length > 1 && inOneRow > width - AXIS_WIDTH) top.direction = "vertical";
  config.legend.layout = { top };
  const room = Math.floor((width - AXIS_WIDTH) / Math.max(...widths, 1));
  config.legend.columns = Math.max(1, Math.min(config.legend.columns, room));
  return config;
}

async function draw(chart) {
  const container = containerOf(chart);
  const width = container.clientWidth;
  const scheme = dark.matches ? "dark" : "light";
  const state = JSON.stringify([width, scheme, [...hidden], alternatives.has(chart.name)]);
  if (chart.state === state) return;
  chart.view?.finalize();
  chart.view = null;
  const embed = () => {
    const spec = withoutHidden(specOf(chart));
    return spec && vegaEmbed(container, sized(spec, chart, width), {
      actions: false,
      renderer: "svg",
      config: configured(chart, width, scheme),
      tooltip: { theme: scheme },
      loader: { target: "_self" },
    });
  };
  chart.view = await embed();
  const excess = chart.view ? container.querySelector("svg").width.baseVal.value - width : 0;
  if (excess > 4 && chart.spec.concat && !chart.axisWidth) { // axis labels wider than assumed: draw once more
    chart.axisWidth = AXIS_WIDTH + excess / columnsOf(chart, width);
    chart.view.finalize();
    chart.view = await embed();
  }
  if (chart.view) makeNavigable(container);
  else container.textContent = "No arm of this figure is selected.";
  container.style.minHeight = "";
  chart.state = state;
  container.dataset.drawn = scheme;
}

// One figure after another, the nearest to the viewport first; the page stays responsive between two.
let queue = Promise.resolve();
function drawAll() {
  const distance = (chart) => {
    const { top, bottom } = containerOf(chart).getBoundingClientRect();
    return Math.max(0, top - innerHeight, -bottom);
  };
  for (const chart of [...charts].sort((a, b) => distance(a) - distance(b))) {
    queue = queue.then(() => new Promise((done) => setTimeout(done))).then(() => draw(chart)).catch((error) => {
      console.error(error);
      containerOf(chart).textContent = `This figure could not be drawn: ${error}`;
    });
  }
}

// Reserve approximately the final height, so that the page does not move while figures appear.
for (const chart of charts) {
  const columns = columnsOf(chart, containerOf(chart).clientWidth);
  const rows = Math.ceil((chart.spec.concat?.length ?? 1) / columns);
  const panel = chart.spec.concat?.[0] ?? chart.spec;
  containerOf(chart).style.minHeight = `${rows * (panel.height + 62) + 50}px`;
}

// --- keyboard: one tab stop per figure; arrow keys move through its legend and points, Enter acts like a click

const stops = new Map(); // legend entries and points by container, in the order in which arrow keys visit them

function makeNavigable(container) {
  const legend = [...container.querySelectorAll(".role-legend-label:not([pointer-events=none]) text")];
  const marks = [...container.querySelectorAll(".mark-symbol.role-mark path")];
  const points = marks.filter((mark) => mark.__data__?.tooltip);
  for (const entry of legend) {
    setRole(entry, "button", `${entry.textContent}: highlight`);
    setPressed(entry, false);
  }
  for (const mark of points) {
    const { tooltip, href } = mark.__data__;
    const label = Object.entries(tooltip).map(([key, value]) => `${key} ${value}`).join(", ");
    setRole(mark, href ? "link" : "img", label);
  }
  stops.set(container, [...legend, ...points]);
  [...legend, ...points][0]?.setAttribute("tabindex", "0");
}

function onKey(event) {
  const own = stops.get(event.currentTarget) ?? [];
  const here = own.indexOf(event.target);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -here, End: own.length - 1 - here };
  if (here < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in steps) own.at((here + steps[event.key]) % own.length).focus();
  else if (event.key === "Enter" || event.key === " ") dispatch(event.target, "click");
  else if (event.key === "Escape") dispatch(event.target, "mouseout");
  else return;
  event.preventDefault();
}

for (const chart of charts) {
  const container = containerOf(chart);
  const buttons = () => [...container.querySelectorAll("[aria-pressed]")];
  container.addEventListener("keydown", onKey);
  container.addEventListener("focusin", ({ target }) => {
    for (const stop of stops.get(container) ?? []) if (stop.tabIndex === 0) stop.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    dispatch(target, "pointermove");
  });
  container.addEventListener("focusout", ({ target }) => dispatch(target, "mouseout"));
  container.addEventListener("click", ({ target }) => {
    if (buttons().includes(target)) setPressed(target, target.getAttribute("aria-pressed") !== "true");
  });
  container.addEventListener("dblclick", () => buttons().forEach((entry) => setPressed(entry, false)));
}

function setRole(element, role, label) {
  for (let parent = element.parentNode; parent.tagName !== "svg"; parent = parent.parentNode) {
    parent.removeAttribute("aria-hidden");
    // Children of a graphics-symbol are not exposed to screen readers; those of a graphics-object are.
    if (parent.getAttribute("role") === "graphics-symbol") parent.setAttribute("role", "graphics-object");
  }
  element.removeAttribute("aria-hidden");
  element.setAttribute("role", role);
  element.setAttribute("aria-label", label);
  element.removeAttribute("aria-roledescription");
  element.setAttribute("tabindex", "-1");
}

const setPressed = (entry, pressed) => entry.setAttribute("aria-pressed", String(pressed));

// A pointer event in the middle of an element, as Vega expects it.
function dispatch(element, type) {
  const { left, top, width, height } = element.getBoundingClientRect();
  const init = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, view: window };
  element.dispatchEvent(type.startsWith("pointer") ? new PointerEvent(type, init) : new MouseEvent(type, init));
}

// --- the page around the figures

// Open the folded table that the URL points to.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.querySelector("details.table");
  if (!folded || folded.open) return;
  folded.open = true;
  target.scrollIntoView();
}

// Contents and switches: open at the side of the page, or folded above the figures if there is no room.
const sideDetails = [...document.querySelectorAll(".side details")];
const foldSide = () => sideDetails.forEach((details) => (details.open = wide.matches));

const contentsLinks = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const sectionObserver = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) contentsLinks.get(target.id)?.setAttribute("aria-current", "true");
      else contentsLinks.get(target.id)?.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
document.querySelectorAll("main > section[id]").forEach((section) => sectionObserver.observe(section));

document.getElementById("arms").hidden = false;
document.getElementById("arms").addEventListener("change", ({ target }) => setArms([target.value], target.checked));
for (const [id, shown] of [["arms-all", true], ["arms-none", false]]) {
  document.getElementById(id).addEventListener("click", () => setArms(switches.map((input) => input.value), shown));
}
window.addEventListener("hashchange", () => {
  openTarget();
  if (!location.hash.startsWith("#off=")) return;
  readHash();
  updateSwitches();
  drawAll();
});
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
});
let resizeTimer;
window.addEventListener("resize", () => {
  clearTimeout(resizeTimer);
  resizeTimer = setTimeout(drawAll, 150);
});
wide.addEventListener("change", foldSide);
dark.addEventListener("change", drawAll);
foldSide();
readHash();
updateSwitches();
openTarget();
drawAll();
