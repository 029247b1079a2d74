// Draws the figures, those in sight first, and again when the width, the colour scheme or the arms switched on change;
// lets the keyboard walk their points and legends. Computes nothing.
// `vegaEmbed` is in scope: vl-convert bundles it, with Vega and Vega-Lite, around this file.
const charts = JSON.parse(document.getElementById("bytegap-charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const wide = window.matchMedia("(min-width: 75rem)"); // as in the style: contents beside the page
const AXIS = 66; // pixels a panel's y axis and margin take, unless drawing shows that they take more
const NARROW = 560; // below this width panels stack
const LEAST_PANEL = 200;
const MANY = 6; // panels: more are drawn lower where they stack
const NAME = 130; // pixels a name written in a plot takes

const placeOf = (item) => document.getElementById(`chart-${item.name}`);

// --- arms on and off, kept in the address as #off=ARM,ARM

const switches = [...document.querySelectorAll("#arms input")];
const off = new Set();

function readAddress() {
  if (!location.hash.startsWith("#off=")) return;
  const names = location.hash.slice(5).split(",").map(decodeURIComponent);
  off.clear();
  for (const each of switches) if (names.includes(each.value)) off.add(each.value);
}

function switched() {
  for (const each of switches) each.checked = !off.has(each.value);
  document.getElementById("arms-on").textContent = `${switches.length - off.size} of ${switches.length} drawn`;
}

function switchArms(names, on) {
  for (const name of names) on ? off.delete(name) : off.add(name);
  const hash = off.size ? `#off=${[...off].map(encodeURIComponent).join(",")}` : "";
  history.replaceState(null, "", location.href.split("#")[0] + hash);
  switched();
  drawAll();
}

const armsOf = (row) => row.arms ?? (row.arm ? [row.arm] : []);

// The chart without what belongs to arms that are off; null where nothing is left of it.
function withoutOff(spec) {
  const owned = new Set(); // data of arms, which come and go; reference lines stay
  const empty = new Set();
  for (const [name, rows] of Object.entries(spec.datasets)) {
    if (rows.some((row) => armsOf(row).length)) owned.add(name);
    spec.datasets[name] = rows.filter((row) => !armsOf(row).some((arm) => off.has(arm)));
    if (!spec.datasets[name].length) empty.add(name);
  }
  const names = new Set();
  const thinned = (part) => {
    const layers = part.layer ?? [part];
    const from = (layer) => (layer.data ?? part.data ?? spec.data).name;
    const own = layers.filter((layer) => owned.has(from(layer)));
    if (own.length && own.every((layer) => empty.has(from(layer)))) return null;
    const left = layers.filter((layer) => !empty.has(from(layer)));
    // The layer that listened to the legend hands that on.
    const heir = left.findLast((layer) => layer.encoding.color);
    for (const layer of layers) if (layer.name && !left.includes(layer)) heir.name ??= layer.name;
    for (const layer of left) {
      names.add(layer.name);
      for (const scale of [layer.encoding.color, layer.encoding.shape]) {
        if (scale?.field !== "arm" || scale.legend === null) continue;
        scale.legend = { ...scale.legend, values: scale.scale.domain.filter((arm) => !off.has(arm)) };
      }
    }
    return part.layer ? { ...part, layer: left } : part;
  };
  const result = spec.concat ? { ...spec, concat: spec.concat.map(thinned).filter(Boolean) } : thinned(spec);
  if (!result || result.concat?.length === 0) return null;
  for (const pick of result.params ?? []) pick.views = pick.views.filter((name) => names.has(name));
  return result;
}

// --- drawing

const columnsOf = (item, width) =>
  width < NARROW ? 1 : Math.max(1, Math.min(item.columns, Math.floor(width / LEAST_PANEL)));

function sized(spec, item, width) {
  if (!spec.concat) {
    // Names written in the plot stand one beside the other where there is room, else in the first place again.
    const room = Math.max(1, Math.floor((width - AXIS) / NAME)) * NAME;
    for (const { mark } of spec.layer) if (mark.style === "floor-text" && mark.dx < 0) mark.dx %= room;
    return { ...spec, width, autosize: { type: "fit-x", contains: "padding" } };
  }
  const columns = columnsOf(item, width);
  const panel = Math.floor(width / columns - (item.axis ?? AXIS));
  for (const part of spec.concat) {
    part.width = panel;
    if (columns === 1 && spec.concat.length > MANY) part.height = Math.min(part.height, 140);
  }
  return { ...spec, columns };
}

function configured(item, width, scheme) {
  const config = structuredClone(item.config[scheme]);
  const longest = Math.max(...switches.map((each) => each.value.length), "censored, at least".length);
  if (width < NARROW) config.legend.layout = { top: { direction: "vertical" } };
  config.legend.columns = Math.max(1, Math.min(config.legend.columns, Math.floor(width / (7 * longest + 36))));
  return config;
}

async function draw(item) {
  const place = placeOf(item);
  const width = place.clientWidth;
  const scheme = dark.matches ? "dark" : "light";
  const state = JSON.stringify([width, scheme, [...off]]);
  if (item.state === state) return;
  item.view?.finalize();
  item.view = null;
  const embed = () => {
    const spec = withoutOff(structuredClone(item.spec));
    return spec && vegaEmbed(place, sized(spec, item, width), {
      actions: false,
      renderer: "svg",
      config: configured(item, width, scheme),
      tooltip: { theme: scheme },
      loader: { target: "_self" },
    });
  };
  item.view = await embed();
  const over = item.view ? place.querySelector("svg").width.baseVal.value - width : 0;
  if (over > 4 && item.spec.concat && !item.axis) { // labels longer than thought: once more, with room for them
    item.axis = AXIS + over / columnsOf(item, width);
    item.view.finalize();
    item.view = await embed();
  }
  if (item.view) walkable(place);
  else place.textContent = "None of this figure's arms is switched on.";
  place.style.minHeight = "";
  item.state = state;
  place.dataset.drawn = scheme;
}

// One after another, what is in sight first; between two the page answers.
let queue = Promise.resolve();
function drawAll() {
  const away = (item) => {
    const { top, bottom } = placeOf(item).getBoundingClientRect();
    return Math.max(0, top - innerHeight, -bottom);
  };
  for (const item of [...charts].sort((a, b) => away(a) - away(b))) {
    queue = queue.then(() => new Promise((done) => setTimeout(done))).then(() => draw(item)).catch((error) => {
      console.error(error);
      placeOf(item).textContent = `This figure could not be drawn: ${error}`;
    });
  }
}

// About the height it will have, so that a place in the page stays where it is while figures appear.
for (const item of charts) {
  const columns = columnsOf(item, placeOf(item).clientWidth);
  const rows = Math.ceil((item.spec.concat?.length ?? 1) / columns);
  placeOf(item).style.minHeight = `${rows * ((item.spec.concat?.[0] ?? item.spec).height + 62) + 50}px`;
}

// --- keyboard: one tab stop a figure; arrows go from legend to point to point, Enter does what a click does

const stops = new Map(); // by figure, in the order they are walked

function walkable(place) {
  const legend = [...place.querySelectorAll(".role-legend-label:not([pointer-events=none]) text")];
  const points = [...place.querySelectorAll(".mark-symbol.role-mark path")].filter((mark) => mark.__data__?.tooltip);
  for (const entry of legend) {
    name(entry, "button", `${entry.textContent}: show alone`);
    press(entry, false);
  }
  for (const mark of points) {
    const { tooltip, href } = mark.__data__;
    name(mark, href ? "link" : "img", Object.entries(tooltip).map(([key, value]) => `${key} ${value}`).join(", "));
  }
  stops.set(place, [...legend, ...points]);
  [...legend, ...points][0]?.setAttribute("tabindex", "0");
}

function walk(event) {
  const own = stops.get(event.currentTarget) ?? [];
  const here = own.indexOf(event.target);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -here, End: own.length - 1 - here };
  if (here < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in steps) own.at((here + steps[event.key]) % own.length).focus();
  else if (event.key === "Enter" || event.key === " ") point(event.target, "click");
  else if (event.key === "Escape") point(event.target, "mouseout");
  else return;
  event.preventDefault();
}

for (const item of charts) {
  const place = placeOf(item);
  const pressed = () => [...place.querySelectorAll("[aria-pressed]")];
  place.addEventListener("keydown", walk);
  place.addEventListener("focusin", ({ target }) => {
    for (const stop of stops.get(place) ?? []) if (stop.tabIndex === 0) stop.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    point(target, "pointermove");
  });
  place.addEventListener("focusout", ({ target }) => point(target, "mouseout"));
  place.addEventListener("click", ({ target }) => {
    if (pressed().includes(target)) press(target, target.getAttribute("aria-pressed") !== "true");
  });
  place.addEventListener("dblclick", () => pressed().forEach((entry) => press(entry, false)));
}

function name(element, role, label) {
  for (let above = element.parentNode; above.tagName !== "svg"; above = above.parentNode) {
    above.removeAttribute("aria-hidden");
    // What is inside a symbol is not read out; an object has parts.
    if (above.getAttribute("role") === "graphics-symbol") above.setAttribute("role", "graphics-object");
  }
  element.removeAttribute("aria-hidden");
  element.setAttribute("role", role);
  element.setAttribute("aria-label", label);
  element.removeAttribute("aria-roledescription");
  element.setAttribute("tabindex", "-1");
}

const press = (entry, on) => entry.setAttribute("aria-pressed", String(on));

function point(element, type) {
  const { left, top, width, height } = element.getBoundingClientRect();
  const at = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, view: window };
  element.dispatchEvent(type.startsWith("pointer") ? new PointerEvent(type, at) : new MouseEvent(type, at));
}

// --- the page around the figures

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.querySelector("details.table");
  if (!folded || folded.open) return;
  folded.open = true;
  target.scrollIntoView();
}

// Contents and switches: open beside the page, folded above the figures where there is no room.
const folds = [...document.querySelectorAll(".side details")];
const fold = () => folds.forEach((each) => (each.open = wide.matches));

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) links.get(target.id)?.setAttribute("aria-current", "true");
      else links.get(target.id)?.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
document.querySelectorAll("main > section[id]").forEach((section) => seen.observe(section));

document.getElementById("arms").hidden = false;
document.getElementById("arms").addEventListener("change", ({ target }) => switchArms([target.value], target.checked));
for (const [id, on] of [["arms-all", true], ["arms-none", false]]) {
  document.getElementById(id).addEventListener("click", () => switchArms(switches.map((each) => each.value), on));
}
window.addEventListener("hashchange", () => {
  openTarget();
  if (!location.hash.startsWith("#off=")) return;
  readAddress();
  switched();
  drawAll();
});
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
let timer;
window.addEventListener("resize", () => {
  clearTimeout(timer);
  timer = setTimeout(drawAll, 150);
});
wide.addEventListener("change", fold);
dark.addEventListener("change", drawAll);
fold();
readAddress();
switched();
openTarget();
drawAll();
