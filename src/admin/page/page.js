// The page of the admin port: the last two hours out of /history, figures out of /metrics once a second, and the trace of
// a subscriber.
import * as past from "./past.js";

// The token is kept in this variable and nowhere else.
let token = "";

const EVERY = 1000, PATIENCE = 4000;
const $ = (id) => document.getElementById(id);

/** An element with attributes and children; text is only ever text. */
function el(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "g", "rect"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { cache: "no-store", credentials: "omit", ...options, headers });
}

// --- numbers -------------------------------------------------------------------------------------------------

const round = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
const count = (value) => value == null ? "–" : value >= 1e6 ? `${round(value / 1e6, 2)}M` : value >= 1e5 ? `${round(value / 1e3, 0)}k` : round(value, value < 10 ? 1 : 0);
const octets = (value) => value == null ? "–" : value >= 2 ** 30 ? `${round(value / 2 ** 30, 2)} GiB` : value >= 2 ** 20 ? `${round(value / 2 ** 20, 1)} MiB` : value >= 1024 ? `${round(value / 1024, 1)} KiB` : `${round(value, 0)} B`;
const time = (s) => s == null ? ["–", ""] : s >= 1 ? [round(s, 2), "s"] : [round(s * 1000, s < .01 ? 2 : s < .1 ? 1 : 0), "ms"];
function span(seconds) {
  const s = Math.max(0, Math.floor(seconds)), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}
/** A share as a percentage; two readings are not of one moment, so a share may come out above 1. */
const percent = (share, digits) => `${round(Math.min(100, 100 * share), digits)} %`;
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

/** The text format of Prometheus: name → list of labels and value. */
function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value.replace(/\\(["\\])/g, "$1");
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: match[3] === "+Inf" ? Infinity : Number(match[3]) });
  }
  return found;
}
const list = (shot, name) => shot?.of.get(name) ?? [];
function sum(shot, name, wanted = {}) {
  const all = list(shot, name).filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
  return all.length ? all.reduce((total, one) => total + one.value, 0) : null;
}

// --- what was seen -------------------------------------------------------------------------------------------

const shots = [];               // whole readings, as long as rates and quantiles need them
let failed = 0;
let verdict = "";               // the verdict of /readyz?verbose
let node = { name: "", born: null, log: "stderr" }; // its name and its access log, asked for once per process

/** The reading that is about so many seconds older than the last one, if the process is the same. */
function before(seconds) {
  const last = shots.at(-1), want = last.at - seconds * 1000;
  const found = shots.find((shot) => shot.at >= want - 500);
  return found && found !== last && found.born === last.born ? found : null;
}
function rate(name, wanted, seconds = 3) {
  const now = shots.at(-1), then = before(seconds);
  if (!then) return null;
  const [a, b] = [sum(then, name, wanted), sum(now, name, wanted)];
  return a == null || b == null || b < a ? null : (b - a) / ((now.at - then.at) / 1000);
}
function quantiles(name, wanted, route) {
  const now = shots.at(-1), then = before(10), of = (shot) => list(shot, `${name}_bucket`).filter(({ labels }) => labels.route === route);
  if (!then || !of(now).length) return wanted.map(() => null);
  const old = new Map(of(then).map(({ labels, value }) => [labels.le, value]));
  const buckets = of(now).map(({ labels, value }) => [labels.le === "+Inf" ? Infinity : Number(labels.le), value - (old.get(labels.le) ?? 0)]);
  buckets.sort((a, b) => a[0] - b[0]);
  const all = buckets.at(-1)[1];
  return wanted.map((q) => {
    if (!(all > 0)) return null;
    let [floor, below] = [0, 0];
    for (const [bound, until] of buckets) {
      if (until >= q * all) return bound === Infinity ? floor : floor + (bound - floor) * (q * all - below) / Math.max(1, until - below);
      [floor, below] = [bound, until];
    }
    return floor;
  });
}

const CHARTS = [
  { title: "Exchanges per second", keys: ["exchanges"], show: (v) => [[count(v.exchanges), "/s"]],
    aside: (v) => v.exchanges == null ? "" : `air: ${octets(v.in)}/s in, ${octets(v.out)}/s out` },
  { title: "Exchange latency", keys: ["p50", "p95", "p99"], zero: true, log: true, axis: (v) => time(v).join(" "),
    show: (v) => ["p50", "p95", "p99"].map((key) => [...time(v[key]), key]),
    aside: (v) => v.p50 == null ? "no exchange ended in the last 10 s" : `of which the origin: ${time(v.upstream).join(" ")} (median)` },
  { title: "Retransmissions per second", keys: ["resent"], colour: 2, show: (v) => [[count(v.resent), "/s"]],
    aside: (v) => v.resent == null || !v.sent ? "" : `${percent(v.resent / v.sent, 2)} of datagrams sent; ${count(v.repeats)}/s heard again` },
  { title: "Sessions", keys: ["sessions"], colour: 1, show: (v) => [[count(v.sessions), ""]],
    aside: (v) => v.connects == null ? "" : `${count(v.connects)}/s connect, ${count(v.resumes)}/s resume` },
  { title: "Exchanges in flight", keys: ["exchanging", "waiting"], colour: 0, show: (v) => [[count(v.exchanging), "", "all"], [count(v.waiting), "", "at origins"]],
    aside: (v) => v.held == null ? "" : `${octets(v.held)} of bodies held` },
  { title: "Server errors per second", keys: ["errors"], colour: 3, show: (v) => [[count(v.errors), "/s"]],
    aside: (v) => v.errors == null || !v.responses ? "responses with 5xx, of origins and of the gateway" : `${percent(v.errors / v.responses, 1)} of responses are 5xx` },
  { title: "Problems per second", keys: ["problems"], colour: 3, show: (v) => [[count(v.problems), "/s"]],
    aside: (v) => v.problems == null ? "" : v.exchanges ? `${percent(v.problems / v.exchanges, 1)} of exchanges` : "answers the gateway gave by itself" },
];

function values() {
  const now = shots.at(-1), ended = "wapbridge_exchanges_ended_total", all = "wapbridge_exchange_duration_seconds";
  const [p50, p95, p99] = quantiles(all, [.5, .95, .99]);
  const [upstream] = quantiles("wapbridge_exchange_upstream_seconds", [.5]);
  return {
    exchanges: rate(ended), p50, p95, p99, upstream,
    in: rate("wapbridge_datagram_bytes_total", { direction: "in" }), out: rate("wapbridge_datagram_bytes_total", { direction: "out" }),
    sent: rate("wapbridge_datagrams_total", { direction: "out" }),
    resent: rate("wapbridge_wtp_retransmissions_total"), repeats: rate("wapbridge_wtp_duplicates_total"),
    sessions: sum(now, "wapbridge_wsp_sessions"), connects: rate("wapbridge_wsp_connects_total"), resumes: rate("wapbridge_wsp_resumes_total"),
    exchanging: sum(now, "wapbridge_exchanges"), waiting: sum(now, "wapbridge_upstream_in_flight"), held: sum(now, "wapbridge_exchange_bytes"),
    problems: rate("wapbridge_problems_total"),
    errors: rate("wapbridge_route_responses_total", { code_class: "5xx" }), responses: rate("wapbridge_route_responses_total"),
  };
}

/** Takes in what the gateway remembers. */
async function remember() {
  const answer = await ask("history", { signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`/history answers ${answer.status}`);
  const kept = await answer.json();
  past.take(kept, shots.at(-1).born, Date.now());
}

const LEFT = 46, FOOT = 16, MARKS = { 2: 1, 15: 5, 120: 30 };
let pointer = null; // where on the axis of time somebody points, on every chart at once
let minutes = 15;   // the span of every chart

// --- charts --------------------------------------------------------------------------------------------------

for (const chart of CHARTS) {
  chart.now = el("div", { class: "now" });
  chart.aside_ = el("p", { class: "aside" });
  chart.svg = el("svg", { role: "slider", tabindex: 0, "aria-label": chart.title, "aria-valuemin": -minutes * 60, "aria-valuemax": 0, "aria-valuenow": 0 });
  $("charts").append(el("article", { class: "chart" }, el("h2", {}, chart.title), chart.now, chart.aside_, chart.svg));
  chart.svg.addEventListener("pointermove", (event) => {
    const box = chart.svg.getBoundingClientRect();
    pointer = Math.min(1, Math.max(0, (event.clientX - box.left - LEFT) / (box.width - LEFT)));
    draw();
  });
  chart.svg.addEventListener("pointerleave", () => { pointer = null; draw(); });
  // With keys the values of any moment can be read, and heard.
  chart.svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (step) pointer = Math.min(1, Math.max(0, (pointer ?? 1) + step / 60));
    else if (event.key === "Home") pointer = 0;
    else if (event.key === "End" || event.key === "Escape") pointer = null;
    else return;
    event.preventDefault();
    draw();
    tell(chart);
  });
  chart.svg.addEventListener("focus", () => tell(chart));
  chart.svg.addEventListener("blur", () => { pointer = null; draw(); });
}
/** The value under the cursor, for screen readers: not once a second, but when somebody asks. */
function tell(chart) {
  const ago = pointer == null ? 0 : Math.round((pointer - 1) * minutes * 60);
  chart.svg.setAttribute("aria-valuenow", ago);
  chart.svg.setAttribute("aria-valuetext", `${ago ? `${span(-ago)} ago` : "now"}: ${[...chart.now.children].map((one) => one.textContent).join(", ")}`);
}

for (const button of $("spans").querySelectorAll("button")) button.addEventListener("click", () => zoom(Number(button.dataset.minutes)));
function zoom(to) {
  minutes = to;
  for (const button of $("spans").querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === minutes));
  for (const { svg } of CHARTS) svg.setAttribute("aria-valuemin", -minutes * 60);
  if (shots.length) tables();
  draw();
}

function nice(top) {
  const size = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 4, 5, 10].map((step) => step * size).find((step) => step >= top * .999);
}

/** An axis from 0: the share of its height for a value, and its marks. */
function linear(top) {
  const most = top > 0 ? nice(top) : 1;
  return { share: (value) => value / most, marks: [0, most / 2, most] };
}
/** A logarithmic axis of whole decades, one at least: latencies of the origin and of retransmissions differ by thousands. */
function decades(values) {
  const known = values.filter((value) => value > 0);
  const low = known.length ? Math.floor(Math.log10(Math.min(...known))) : -3;
  const high = Math.max(low + 1, known.length ? Math.ceil(Math.log10(Math.max(...known)) - 1e-9) : 0);
  const share = (value) => Math.min(1, Math.max(0, (Math.log10(Math.max(value, 1e-9)) - low) / (high - low)));
  return { share, marks: Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step)) };
}

function draw() {
  if (document.hidden || $("live").hidden) return;
  const end = past.newest()?.at ?? Date.now(), whole = minutes * 60000, start = end - whole;
  const points = past.points(start);
  const pointed = pointer == null ? null : start + pointer * whole;
  const near = pointed == null ? points.at(-1) : points.reduce((best, one) => Math.abs(one.at - pointed) < Math.abs((best?.at ?? 0) - pointed) ? one : best, null);
  const shown = near && (pointed == null || Math.abs(near.at - pointed) < whole / 60) ? near : null;
  for (const chart of CHARTS) {
    const base = chart.colour ?? 0, of = (key) => chart.keys.length > 1 ? (base + chart.keys.indexOf(key)) % 5 : base;
    const v = shown?.v ?? {};
    chart.now.replaceChildren(...chart.show(v).map(([number, unit, name], place) => el("span", { class: `${place ? "small " : ""}${name ? `key c${of(chart.keys[place])}` : ""}` }, el("b", {}, number), el("i", {}, [unit, name].filter(Boolean).join(" ")))));
    chart.aside_.textContent = pointed != null ? shown ? `at ${clock(shown.at)}` : "no figures" : points.length < 3 ? "gathering figures…" : chart.aside(v);
    const { width, height } = chart.svg.getBoundingClientRect();
    if (!width) continue;
    const bottom = height - FOOT, top = Math.max(...points.flatMap(({ v }) => chart.keys.map((key) => v[key] ?? 0)), 0);
    const { share, marks } = chart.log ? decades(points.flatMap(({ v }) => chart.keys.map((key) => v[key]))) : linear(top);
    const x = (at) => LEFT + (at - start) / whole * (width - LEFT), y = (value) => bottom - share(value) * (bottom - 6);
    const parts = [];
    for (const mark of marks) {
      parts.push(el("line", { class: "grid", x1: LEFT, x2: width, y1: Math.round(y(mark)) + .5, y2: Math.round(y(mark)) + .5 }));
      const label = chart.axis && mark ? chart.axis(mark) : count(mark);
      if (top > 0 || !mark) parts.push(el("text", { x: LEFT - 7, y: y(mark) + 3.5, "text-anchor": "end" }, label));
    }
    for (let ago = 0; ago <= minutes; ago += MARKS[minutes]) parts.push(el("text", { x: x(end - ago * 60000), y: height - 2, "text-anchor": ago === minutes ? "start" : ago ? "middle" : "end" }, ago ? minutes > 60 ? `−${round(ago / 60, 1)} h` : `−${ago} min` : "now"));
    for (const key of chart.keys) {
      let line = "", area = "", from = null, last = null, wide = 1;
      const close = () => { if (from != null) area += `${line.slice(line.lastIndexOf("M"))}L${x(last).toFixed(1)},${bottom}L${x(from).toFixed(1)},${bottom}Z`; from = null; };
      for (const { at, step, v } of points) {
        if (v[key] == null || last != null && at - last > Math.max(6000, 2500 * Math.max(step, wide))) close();
        if (v[key] == null) continue;
        line += `${from == null ? "M" : "L"}${x(at).toFixed(1)},${y(v[key]).toFixed(1)}`;
        from ??= at;
        [last, wide] = [at, step];
      }
      close();
      const group = el("g", { class: `c${of(key)}` });
      if (chart.keys.length === 1 || key === chart.keys[0]) group.append(el("path", { class: "area", d: area }));
      group.append(el("path", { class: "stroke", d: line }));
      parts.push(group);
    }
    if (shown && pointed != null) parts.push(el("line", { class: "cursor", x1: x(shown.at), x2: x(shown.at), y1: 0, y2: bottom }));
    chart.svg.replaceChildren(...parts);
  }
}
new ResizeObserver(draw).observe($("charts"));

// --- tables --------------------------------------------------------------------------------------------------

/** A row is a list of cells, or the text of a heading above the rows that follow. */
function table(place, rows, empty, head) {
  if (!rows.length) return $(place).replaceChildren(el("p", { class: "empty" }, empty));
  const cells = (row, name) => typeof row === "string" ? el("tr", {}, el("th", { class: "group", colspan: head.length, scope: "colgroup" }, row)) : el("tr", {}, ...row.map((cell, at) => el(name, { class: at ? "n" : "name", scope: name === "th" ? "col" : undefined }, cell)));
  const box = $(place);
  box.replaceChildren(el("table", {}, ...(head ? [cells(head, "th")] : []), ...rows.map((row) => cells(row, "td"))));
  // What is too wide for the screen can be reached with keys.
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}
function bar(colour, share) {
  const inner = el("span");
  inner.style.setProperty("--w", `${Math.min(100, 100 * share)}%`);
  return el("span", { class: `bar c${colour}` }, inner);
}
function named(text, colour, share) {
  const made = el("span", {}, text);
  made.append(bar(colour, share));
  return made;
}

/** The last two hours of a route in a small picture: exchanges, and red bars for responses with 5xx. */
function spark(route) {
  const points = past.line(route), known = points.filter(({ exchanges }) => exchanges != null), last = known.at(-1);
  if (known.length < 2) return "–";
  const top = Math.max(...known.map(({ exchanges, errors }) => Math.max(exchanges, errors)), 1e-9), end = points.at(-1).at;
  const x = (at) => round(120 - (end - at) / 60000, 1), y = (value) => round(19 - 18 * value / top, 1);
  let line = "", before = null;
  for (const { at, exchanges } of points) {
    if (exchanges != null) line += `${before != null && at - before < 150000 ? "L" : "M"}${x(at)},${y(exchanges)}`;
    before = exchanges != null ? at : null;
  }
  const bars = known.filter(({ errors }) => errors > 0).map(({ at, errors }) => `M${x(at)},20L${x(at)},${y(errors)}`).join("");
  const most = (key) => `${count(Math.max(...known.map((one) => one[key])))} at most`;
  const words = `Exchanges per second of route ${route} in the last two hours: ${most("exchanges")}, ${count(last.exchanges)} in the last minute. Responses with 5xx: ${most("errors")}.`;
  return el("svg", { class: "spark", role: "img", "aria-label": words, viewBox: "0 0 120 20", preserveAspectRatio: "none" }, el("path", { class: "stroke c0", d: line }), el("path", { class: "stroke c3", d: bars }));
}

const CONDITIONS = { in_service: ["up", "● up"], slow_start: ["part", "◔ slow start"], on_trial: ["part", "◌ on trial"], ejected: ["down", "✕ ejected"], failing_checks: ["down", "✕ fails checks"] };
/** The state of a host of a route: what its route does with it, or its last request on any route. */
function hostState(now, of) {
  const condition = list(now, "wapbridge_upstream_host_condition").find(({ labels, value }) => value === 1 && labels.route === of.route && labels.host === of.host)?.labels.condition ?? "in_service";
  if (condition !== "in_service") return CONDITIONS[condition] ?? ["idle", condition.replaceAll("_", " ")];
  if (sum(now, "wapbridge_target_requests_total", { host: of.host }) === 0) return ["idle", "not asked yet"];
  return sum(now, "wapbridge_target_up", { host: of.host }) ? CONDITIONS.in_service : ["down", "✕ failing"];
}

/** A row for each host of each route. Where there are too many, those that are not well come first. */
function origins(now) {
  const all = list(now, "wapbridge_upstream_host_requests").map(({ labels: { route, host }, value }) => {
    const of = { route, host }, [ok, ...bad] = ["answered", "server_error", "failed"].map((outcome) => rate("wapbridge_upstream_host_requests_total", { ...of, outcome }, 10));
    const failures = bad[0] == null ? null : bad[0] + bad[1];
    return { route, host, state: hostState(now, of), value, ok, failures };
  });
  const bad = ({ state }) => ["down", "part"].indexOf(state[0]) + 1 || 3;
  const shown = all.length > SHOWN ? all.toSorted((a, b) => bad(a) - bad(b)).slice(0, SHOWN) : all;
  shown.sort((a, b) => a.route < b.route ? -1 : a.route > b.route ? 1 : 0);
  $("watched").textContent = all.length > SHOWN ? `${SHOWN} of ${count(all.length)}` : "of each route";
  const rows = shown.flatMap(({ route, host, state, value, ok, failures }, place) => [
    ...(route === shown[place - 1]?.route ? [] : [`route ${route}`]),
    [host, el("span", { class: state[0] }, state[1]), el("span", { class: failures > 0 ? "down" : "" }, `${count(failures)}/s`), count(value), `${count(ok)}/s`]]);
  table("origins", rows, "No route names a host: nothing to watch.", ["host", "state", "failures", "under way", "answered"]);
}

function tables() {
  const now = shots.at(-1);
  problems(now);
  const words = minutes > 60 ? `${minutes / 60} h` : `${minutes} min`;
  $("counted").textContent = `of the last ${words}`;
  const started = past.startedSince(now.at - minutes * 60000);
  $("since").textContent = started ? `since ${clock(started)}, when the gateway started` : "";

  const routes = list(now, "wapbridge_route_exchanges_total").map(({ labels: { route } }) => {
    const [ended, errors] = [rate("wapbridge_route_exchanges_total", { route }, 10), rate("wapbridge_route_responses_total", { route, code_class: "5xx" }, 10)];
    return { route, ended, errors, p95: quantiles("wapbridge_route_response_seconds", [.95], route)[0], all: sum(now, "wapbridge_route_exchanges_total", { route }) };
  }).sort((a, b) => b.ended - a.ended || b.all - a.all);
  $("routed").textContent = routes.length > SHOWN ? `of the last 10 s; the busiest ${SHOWN} of ${count(routes.length)}` : "of the last 10 s";
  table("routes", routes.slice(0, SHOWN).map(({ route, ended, errors, p95, all }) => [route, `${count(ended)}/s`, el("span", { class: errors > 0 ? "down" : "" }, `${count(errors)}/s`), time(p95).join(" "), count(all), spark(route)]), "There is no route.", ["route", "exchanges", "5xx", "p95", "in all", "last 2 h"]);

  origins(now);

  const shards = list(now, "wapbridge_shard_cpu_seconds_total").map(({ labels }) => {
    const load = rate("wapbridge_shard_cpu_seconds_total", labels, 5);
    const name = /^\d+$/.test(labels.shard) ? `shard ${labels.shard}` : labels.shard;
    return [named(name, load > .8 ? 2 : 0, load ?? 0), load == null ? "–" : percent(load, 0)];
  });
  table("shards", shards, "This gateway does not tell the load of its shards.");

  const process = [["memory", octets(sum(now, "process_resident_memory_bytes"))], ["CPU", rate("process_cpu_seconds_total", {}, 5) == null ? "–" : `${round(100 * rate("process_cpu_seconds_total", {}, 5), 0)} % of a core`],
    ["open files", `${count(sum(now, "process_open_fds"))} of ${count(sum(now, "process_max_fds"))}`], ["send errors", count(sum(now, "wapbridge_send_errors_total"))],
    ["malformed datagrams", count(sum(now, "wapbridge_wtp_malformed_total"))], ["traces running", count(sum(now, "wapbridge_traces"))]];
  table("process", process.filter(([, value]) => !value.startsWith("–")), "This gateway does not tell.");
}

/** Problems of the span shown, by cause. An entry that somebody has opened stays as it is. */
function problems(now) {
  const base = past.counted(now.at - minutes * 60000, now.born);
  const found = list(now, "wapbridge_problems_total").map(({ labels, value }) => [labels.problem, value - (base.get(labels.problem) ?? 0)]).filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  const most = found[0]?.[1] ?? 1;
  const entries = found.map(([cause, value]) => {
    const one = entry(cause);
    one.querySelector("b").textContent = count(value);
    one.querySelector(".bar > span").style.setProperty("--w", `${100 * value / most}%`);
    one.querySelector(".remedy").textContent = past.remedy(cause) ? `Remedy: ${past.remedy(cause)}.` : "";
    one.querySelector("code").textContent = command(cause);
    return one;
  });
  if (entries.some((one, place) => one !== $("problems").children[place]) || entries.length !== $("problems").children.length) $("problems").replaceChildren(...entries);
  $("none").hidden = entries.length > 0;
}
const known = new Map(); // entries by cause
function entry(cause) {
  if (known.has(cause)) return known.get(cause);
  const words = cause.replaceAll("_", " "), section = SECTIONS[cause] ?? "what-the-handset-sees";
  const copy = el("button", { type: "button", "aria-label": `Copy the command for ${words}` }, "Copy");
  copy.hidden = !navigator.clipboard;
  const done = (words) => { copy.textContent = words; setTimeout(() => { copy.textContent = "Copy"; }, 2 * EVERY); };
  copy.addEventListener("click", () => navigator.clipboard.writeText(command(cause)).then(() => done("Copied"), () => done("Not allowed")));
  const made = el("li", {}, el("details", {}, el("summary", {}, named(words, 3, 0), el("b", {})),
    el("p", { class: "remedy" }), el("p", { class: "command" }, el("code", { tabindex: 0, role: "group", "aria-label": `Command for ${words}` }), copy),
    el("p", {}, el("a", { href: `operations?section=${section}`, target: "_blank", rel: "noopener" }, `OPERATIONS: ${section.replaceAll("-", " ")}`))));
  known.set(cause, made);
  return made;
}
/** The lines of the access log with this problem, in text or in JSON. */
function command(cause) {
  const find = `grep -E 'problem"?[=:]"?${cause}\\b'`;
  if (node.log === "off") return "# the access log is off: set access in [log]";
  if (node.log === "journald") return `journalctl --since=-${minutes}min WAPBRIDGE_PROBLEM=${cause}`;
  if (node.log.startsWith("syslog:")) return `# at ${node.log}: ${find}`;
  return node.log === "stderr" ? `journalctl -u wapbridge --since=-${minutes}min | ${find}` : `${find} '${node.log.replaceAll("'", "'\\''")}'`;
}
const SECTIONS = { share: "protection", too_many: "protection", draining: "states-and-signals", isolated: "states-and-signals" };

/** The pushes that wait longest, of all that are pending; without [push] nothing is shown. */
async function pushes() {
  const now = shots.at(-1), pending = sum(now, "wapbridge_push_pending");
  $("pushing").hidden = pending == null;
  if (pending == null || now.at - listed < 5 * EVERY) return;
  listed = now.at;
  let rows = [], next = "";
  // A page of the list may be short without being the last.
  for (let pages = 0; pending > 0 && rows.length < SHOWN && pages < 10 && next != null; pages += 1) {
    const answer = await ask(`pushes?state=pending&limit=${SHOWN}${next && `&cursor=${next}`}`, { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`/pushes answers ${answer.status}`);
    const page = await answer.json();
    rows = rows.concat(page.pushes).slice(0, SHOWN);
    next = page.next;
  }
  const until = (moment) => moment ? span((Date.parse(moment) - now.at) / 1000) : "under way";
  $("pushed").textContent = pending > rows.length ? `the oldest ${rows.length} of ${count(pending)}` : "";
  table("pushes", rows.map((row) => [`${row.recipient} `, row.initiator, row.push_id, String(row.attempts), until(row.next_attempt), span((Date.parse(row.expires) - now.at) / 1000)]), "None.", ["recipient", "initiator", "push-id", "attempts", "next", "expires"]);
}
let listed = 0;
const SHOWN = 20; // rows

function facts() {
  const now = shots.at(-1);
  const state = list(now, "wapbridge_state").find(({ value }) => value === 1)?.labels.state ?? "running";
  const degraded = state === "running" && verdict.startsWith("degraded");
  say(degraded ? "degraded" : state, degraded ? "degraded" : state);
  $("why").textContent = degraded ? verdict : "";
  $("why").hidden = !degraded;
  $("version").textContent = list(now, "wapbridge_build_info")[0]?.labels.version ?? "";
  const known = [...(node.name ? [["node", node.name]] : []), ["up", now.born ? span(now.at / 1000 - now.born) : "–"], ["shards", String(list(now, "wapbridge_shard_cpu_seconds_total").filter(({ labels }) => /\d/.test(labels.shard)).length || "–")], ["at", clock(now.at)]];
  $("facts").replaceChildren(...known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
function say(state, words) {
  if ($("state").textContent !== words) $("state").textContent = words;
  $("state").dataset.state = state;
  const name = node.name ? `wapbridge ${node.name}` : "wapbridge";
  document.title = state === "running" ? name : `${words} – ${name}`;
}

async function poll() {
  try {
    const answer = await ask("metrics", { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 401) {
      $("unlock").hidden = false;
      say("unknown", "locked");
      return setTimeout(poll, 3 * EVERY);
    }
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    const of = parse(await answer.text()), at = Date.now();
    const ready = await ask("readyz?verbose", { signal: AbortSignal.timeout(PATIENCE) });
    verdict = /^\[.\]verdict (.*)$/m.exec(await ready.text())?.[1] ?? "";
    shots.push({ at, of, born: sum({ of }, "process_start_time_seconds") ?? 0 });
    while (shots[0].at < at - 20000) shots.shift();
    past.count(at, shots.at(-1).born, new Map((of.get("wapbridge_problems_total") ?? []).map(({ labels, value }) => [labels.problem, value])));
    const routes = (of.get("wapbridge_route_exchanges_total") ?? []).map(({ labels: { route }, value }) => [route, [value, sum({ of }, "wapbridge_route_responses_total", { route, code_class: "5xx" }) ?? 0]]);
    past.countRoutes(at, shots.at(-1).born, new Map(routes));
    if (node.born !== shots.at(-1).born) {
      const status = await ask("status", { signal: AbortSignal.timeout(PATIENCE) });
      const config = await ask("config", { signal: AbortSignal.timeout(PATIENCE) });
      const log = config.ok && /^\[log\][^[]*?^access = ("(?:[^"\\]|\\.)*"|'[^']*')$/m.exec(await config.text())?.[1];
      if (status.ok) node = { name: (await status.json()).node ?? "", born: shots.at(-1).born, log: log?.slice(1, -1) || "stderr" };
    }
    // Also when this page slept, or could not reach the gateway.
    if (!past.newest() || at - past.newest().at > 5 * EVERY || shots.at(-2)?.born !== shots.at(-1).born) await remember();
    // The first readings have no rates yet; what the gateway remembers is shown until then.
    const v = values();
    if (v.exchanges != null) past.add(at, v);
    past.thin(at);
    failed = 0;
    $("banner").hidden = $("unlock").hidden = true;
    document.body.classList.remove("stale");
    facts(); tables(); draw();
    await pushes();
  } catch (error) {
    failed += 1;
    if (failed >= 2) {
      const last = shots.at(-1);
      say("unreachable", "unreachable");
      const words = `The gateway cannot be reached (${error.name === "TimeoutError" ? "no answer in time" : error.message}). ${last ? `The figures below are those of ${clock(last.at)}.` : "There are no figures yet."} Trying again every second.`;
      // An alert is read out whenever it changes.
      if ($("banner").textContent !== words) $("banner").textContent = words;
      $("banner").hidden = false;
      document.body.classList.add("stale");
    }
  }
  setTimeout(poll, EVERY);
}
$("unlock").addEventListener("submit", (event) => { event.preventDefault(); token = new FormData(event.target).get("token").trim(); });
document.addEventListener("visibilitychange", draw);

function view() {
  const trace = location.hash === "#trace";
  $("live").hidden = trace;
  $("trace").hidden = !trace;
  for (const link of document.querySelectorAll("nav a")) (link.hash === "#trace") === trace ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  if (trace) { $("start").token.value ||= token; $("start").subject.focus(); earlier(); } else draw();
}
addEventListener("hashchange", view);

// --- the trace -----------------------------------------------------------------------------------------------

const MOST = 3000; // entries on the page; the file has all
let current = null; // { id, row, abort, entries }

function trouble(words) {
  $("trouble").textContent = words ?? "";
  $("trouble").hidden = !words;
}

$("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target), subject = form.get("subject").trim();
  token = form.get("token").trim();
  const body = { for: form.get("for"), raw: form.get("raw") === "on" };
  body[/[.:]/.test(subject) ? "ip" : "msisdn"] = subject;
  const answer = await ask("trace", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).catch((error) => ({ ok: false, text: () => error.message }));
  if (!answer.ok) return trouble(await answer.text());
  watch(await answer.json());
});

async function watch(row) {
  trouble();
  current?.abort.abort();
  const mine = current = { id: row.id, row, abort: new AbortController(), began: Date.now(), count: 0 };
  $("entries").replaceChildren();
  $("running").hidden = false;
  $("stop").disabled = row.state !== "running";
  $("stop").textContent = "Stop";
  about();
  try {
    const answer = await ask(`trace/${row.id}/events`, { signal: mine.abort.signal });
    if (!answer.ok) throw new Error(await answer.text());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || mine !== current) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      show(lines.map((line) => JSON.parse(line)));
    }
    if (mine === current && mine.row.state === "running") trouble("The gateway ended the conversation before the trace was over.");
  } catch (error) {
    if (mine === current) trouble(`The trace was lost: ${error.message}`);
  }
  if (mine === current) { $("stop").disabled = true; about(); earlier(); }
}

function about() {
  if (!current) return;
  const { row } = current, left = Math.max(0, row.remaining_s - (Date.now() - current.began) / 1000);
  const ended = { time_up: "its time is up", stopped: "stopped", full: "full: it had caught as much as one may keep", gone: "the gateway stopped" };
  const words = row.state === "running" ? `running, ${span(left)} left` : `over: ${ended[row.ended] ?? row.ended}`;
  const dim = [`${current.count} entries`, row.lost ? `${row.lost} not caught` : "", row.raw ? "shows secrets: protect it like passwords" : ""].filter(Boolean).join(" · ");
  $("about").replaceChildren(`Trace ${row.id} of `, el("b", {}, row.subject), `, ${words} `, el("span", { class: "dim" }, `· ${dim}`));
  const told = row.state === "running" ? "The trace is running." : `The trace is ${words}.`;
  if ($("told").textContent !== told) $("told").textContent = told;
  $("nothing").textContent = row.state === "running" ? "Waiting for the first datagram." : "No datagram came or went.";
  $("nothing").hidden = current.count > 0;
}
setInterval(() => { if (current?.row.state === "running") about(); }, EVERY);

const ARROWS = { "datagram in": ["→", 0, "from the handset"], "datagram out": ["←", 1, "to the handset"], "upstream out": ["⇒", 4, "to the origin"], "upstream in": ["⇐", 4, "from the origin"] };

function show(entries) {
  const list = $("entries"), wanted = $("filter").value.trim().toLowerCase();
  for (const entry of entries) {
    if (!entry.kind) { current.row = entry; $("stop").disabled = true; about(); continue; }
    current.count += 1;
    list.append(item(entry, wanted));
  }
  while (list.children.length > MOST) list.firstChild.remove();
  about();
  if ($("follow").checked && !$("trace").hidden) list.lastElementChild?.scrollIntoView({ block: "nearest" });
}

function item(entry, wanted) {
  const [arrow, colour, words] = ARROWS[`${entry.kind} ${entry.direction}`] ?? ["·", 2, entry.kind];
  const at = new Date(entry.unix_us / 1000);
  const [first, ...more] = entry.summary.split(" · ");
  const cells = [
    el("span", { class: "time", title: at.toISOString() }, `${at.toLocaleTimeString("en-GB")}.${String(entry.unix_us % 1e6).padStart(6, "0").slice(0, 4)}`),
    el("span", { class: "arrow" }, el("span", { "aria-hidden": "true" }, arrow), el("span", { class: "hidden" }, words)),
    el("span", { class: "peer" }, entry.peer ?? ""),
    el("span", { class: "octets" }, entry.octets == null ? "" : `${entry.octets} B`),
    el("span", { class: "said" }, entry.kind === "datagram" ? el("b", {}, first) : first, ...more.map((part) => ` · ${part}`)),
  ];
  const made = el("li", { class: `${entry.kind} c${colour}` });
  if (entry.layers?.length) {
    const details = el("details", {}, el("summary", {}, ...cells));
    // The layers are built when somebody looks at them first.
    details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(layers(entry)); });
    made.append(details);
  } else made.append(el("div", { class: "flat" }, ...cells));
  made.words = `${entry.summary} ${entry.peer ?? ""} ${entry.layers ? JSON.stringify(entry.layers.map(({ nodes }) => meanings(nodes))) : ""}`.toLowerCase();
  if (entry.failed) made.classList.add("failed");
  made.hidden = !passes(made, wanted);
  return made;
}
/** Whether an entry is shown: it contains the words, and it is a failure if only failures are wanted. */
const passes = (made, wanted) => (wanted === "" || made.words.includes(wanted)) && (!$("failures").checked || made.classList.contains("failed"));
const faulty = (node) => node.fault || node.parts.some(faulty);
const meanings = (nodes) => nodes.flatMap((node) => [node.meaning, ...meanings(node.parts)]);

function layers(entry) {
  const made = el("div", { class: "layers" });
  entry.layers.forEach((layer, place) => {
    made.append(el("h3", {}, place ? `The complete message: ${layer.len} octets` : `Datagram: ${layer.len} octets`), tree(layer.nodes, 0));
  });
  return made;
}
function tree(nodes, depth) {
  return el("ul", {}, ...nodes.map((node) => {
    const words = [el("span", node.fault ? { class: "wrong" } : {}, node.fault ? `! ${node.meaning}` : node.meaning)];
    if (node.octets && !/^(2a)+$/.test(node.octets)) words.push(el("code", {}, node.octets.length > 48 ? `${node.octets.slice(0, 48)}…` : node.octets));
    if (!node.parts.length) return el("li", {}, ...words);
    const details = el("details", {}, el("summary", {}, ...words), tree(node.parts, depth + 1));
    details.open = depth < 8 && (node.parts.length <= 30 || faulty(node));
    return el("li", {}, details);
  }));
}

function refilter() {
  const wanted = $("filter").value.trim().toLowerCase();
  for (const made of $("entries").children) made.hidden = !passes(made, wanted);
}
$("filter").addEventListener("input", refilter);
$("failures").addEventListener("change", refilter);
$("unfold").addEventListener("click", () => {
  const all = [...$("entries").querySelectorAll(":scope > li > details")], open = !all.some((one) => one.open);
  for (const one of all) one.open = open;
  $("unfold").textContent = open ? "Collapse all" : "Expand all";
});
$("stop").addEventListener("click", async () => {
  $("stop").disabled = true;
  const answer = await ask(`trace/${current.id}`, { method: "DELETE" });
  if (!answer.ok) trouble(await answer.text());
});
$("download").addEventListener("click", async () => {
  const answer = await ask(`trace/${current.id}.pcapng`);
  if (!answer.ok) return trouble(await answer.text());
  const link = el("a", { href: URL.createObjectURL(await answer.blob()), download: `wapbridge-trace-${current.id}.pcapng` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

/** Other traces that the gateway still has. */
async function earlier() {
  $("earlier").hidden = true;
  if (!token) return;
  const answer = await ask("trace").catch(() => null);
  if (!answer?.ok) return;
  const others = (await answer.json()).filter(({ id }) => id !== current?.id);
  $("earlier").replaceChildren("Other traces:", ...others.map((row) => {
    const button = el("button", { type: "button" }, `${row.id}: ${row.subject}, ${row.state === "running" ? "running" : `${row.datagrams} datagrams`}`);
    button.addEventListener("click", () => watch(row));
    return button;
  }));
  $("earlier").hidden = !others.length;
  if (!current && others.some(({ state }) => state === "running")) $("nothing").textContent = "A trace is running: choose it above to follow it.";
}

addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !$("running").hidden && !$("trace").hidden) { event.preventDefault(); $("filter").focus(); }
  if (event.key === "l") location.hash = "#live";
  if (event.key === "t") location.hash = "#trace";
  const button = $("spans").querySelectorAll("button")[{ 1: 0, 2: 1, 3: 2 }[event.key]];
  if (button && !$("live").hidden) button.click();
});

/** A gateway that hangs answers late: the age of the figures is shown from 3 s on. */
setInterval(() => {
  const last = shots.at(-1), age = last ? Math.floor((Date.now() - last.at) / 1000) : 0;
  if (age < 3 || !$("banner").hidden) return;
  say("stale", `no answer for ${age} s`);
  document.body.classList.add("stale");
}, EVERY);

view();
poll();
