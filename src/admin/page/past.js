// What the page knows of the last two hours: what the gateway remembers, and the page's own readings since.

const SECOND = 1000, FINE = 2 * 60 * SECOND, KEPT = 2 * 3600 * SECOND;

// Points of the charts, { at, step, v }: two minutes by the second, older ones by ten. A step is in seconds.
let fine = [], coarse = [];
// Problems since the start of the process, a minute apart: { at, born, of }.
let counts = [];
let remedies = {};
// The rates of each route, a minute apart: { at, exchanges, errors }. The counts of the last minute.
let lines = new Map(), tally = null;
let started = null;

/** Takes in an answer of /history, of the process born then. What an earlier process had stays, as long as the page is open. */
export function take(kept, born, now) {
  const shift = now - kept.now * SECOND; // of this clock against the gateway's
  const read = ({ every_seconds: step, at, series }) => at.map((at, place) => ({ at: at * SECOND + shift, step, v: Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values[place]])) }));
  const seconds = read(kept.seconds), tens = read(kept.tens), from = seconds[0]?.at ?? now;
  const first = Math.min(tens[0]?.at ?? from, from);
  coarse = [...coarse, ...fine].filter(({ at }) => at < first - SECOND).concat(tens.filter(({ at }) => at < from));
  fine = seconds;
  started = kept.started * SECOND + shift;
  const causes = Object.entries(kept.problems.causes);
  remedies = Object.fromEntries(causes.map(([cause, { remedy }]) => [cause, remedy]));
  const routes = kept.routes ?? { at: [], series: {} }, moments = routes.at.map((at) => at * SECOND + shift);
  const older = [...lines].map(([route, line]) => [route, line.filter(({ at }) => at < (moments[0] ?? now) - SECOND)]);
  lines = new Map(older);
  for (const [route, { exchanges, errors }] of Object.entries(routes.series)) lines.set(route, [...(lines.get(route) ?? []), ...moments.map((at, place) => ({ at, exchanges: exchanges[place], errors: errors[place] }))]);
  counts = kept.problems.at.map((at, place) => ({ at: at * SECOND + shift, born, of: new Map(causes.map(([cause, { counts }]) => [cause, counts[place] ?? 0])) }));
}

/** Adds a reading of the page's own. */
export function add(at, v) {
  fine.push({ at, step: 1, v });
}

/** Seconds that are older than two minutes become means over ten, as in the gateway; quantiles are those of ten already. */
export function thin(now) {
  while (fine.length && fine[0].at < now - FINE - 10 * SECOND) {
    const group = fine.filter(({ at }) => at < fine[0].at + 10 * SECOND), last = group.at(-1);
    fine = fine.slice(group.length);
    const mean = (name) => {
      const known = group.map(({ v }) => v[name]).filter((value) => value != null);
      return known.length ? known.reduce((total, value) => total + value, 0) / known.length : null;
    };
    coarse.push({ at: last.at, step: 10, v: Object.fromEntries(Object.keys(last.v).map((name) => [name, /^p\d|upstream/.test(name) ? last.v[name] : mean(name)])) });
  }
  coarse = coarse.filter(({ at }) => at >= now - KEPT);
}

export const points = (since) => [...coarse, ...fine].filter(({ at }) => at >= since);
export const newest = () => fine.at(-1) ?? coarse.at(-1);
/** The start of the gateway, if it was later than this. */
export const startedSince = (at) => started != null && started > at ? started : null;
export const remedy = (cause) => remedies[cause];

/** Keeps the counts of problems, if the last ones are a minute old. */
export function count(at, born, of) {
  const last = counts.at(-1);
  if (last && at - last.at < 60 * SECOND && last.born === born) return;
  counts.push({ at, born, of });
  counts = counts.filter((one) => one.at >= at - KEPT - 60 * SECOND);
}
/** Keeps the rates of routes, if the last ones are a minute old; `of` has exchanges and errors since the start. */
export function countRoutes(at, born, of) {
  if (tally?.born === born && at - tally.at < 60 * SECOND) return;
  const passed = tally?.born === born ? (at - tally.at) / SECOND : Infinity;
  for (const [route, [exchanges, errors]] of of) {
    const before = tally?.of.get(route), known = before && passed < 90 && exchanges >= before[0] && errors >= before[1];
    if (!known) continue;
    if (!lines.has(route)) lines.set(route, []);
    lines.get(route).push({ at, exchanges: (exchanges - before[0]) / passed, errors: (errors - before[1]) / passed });
  }
  tally = { at, born, of };
  lines = new Map([...lines].map(([route, line]) => [route, line.filter((one) => one.at >= at - KEPT)]).filter(([, line]) => line.length));
}
export const line = (route) => lines.get(route) ?? [];

/** The counts of problems of a process at this moment: none if it began later. */
export function counted(at, born) {
  const own = counts.filter((one) => one.born === born);
  return (own.findLast((one) => one.at <= at) ?? (born * SECOND >= at ? null : own[0]))?.of ?? new Map();
}
